/** Finds templates, and has them rendered and compiled in threads. */
import type { Logger } from 'pino';
import type { Queryable } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import type { Compiled } from './compile.ts';
import type { TemplateFault } from './engine.ts';
import { missingVariables, renderFailed, renderLimit, templateUnknown } from './errors.ts';
import { pickLanguage } from './languages.ts';
import { findHeads, readDefinitions, type TemplateHead } from './store.ts';
import type { Content, Definition, Rendered, TemplateKind } from './template.ts';
import type { RenderTask } from './template-thread.ts';
import { makeThreadPool } from './thread-pool.ts';
import { bindVariables, redactVariables } from './variables.ts';

/** A template as a letter names it. */
export interface TemplateUse {
  /** Id or name. */
  id: string;
  variables?: Record<string, unknown>;
  /** BCP 47; the template's own language where it does not have this one. Several are asked in their order. */
  language?: string | string[];
  /** The newest where absent. */
  version?: number;
}

export interface TemplateRenderer {
  /**
   * Renders templates of a tenant, each use on its own.
   * @returns in the order of `uses`: the text, or templateUnknown, missingVariables, invalidVariables, renderFailed, …
   * @throws renderBusy
   */
  render: (db: Queryable, tenantId: string, uses: TemplateUse[]) => Promise<(Rendered | PosternError)[]>;
  compile: (tenantId: string, kind: TemplateKind, definition: Definition) => Promise<Compiled>;
  close: () => Promise<void>;
}

/** One language of a version, under the key by which threads know it. */
interface Source {
  key: string;
  language: string;
  content: Content;
}

// Versions are remembered by weight, and the oldest forgotten.
const maxRememberedCharacters = 16_000_000;

export function makeTemplateRenderer({ log }: { log: Logger }): TemplateRenderer {
  const renderers = makeThreadPool({ log }, { threads: 2, deadlineMs: 2_000, idleMs: 300_000 });
  // MJML is a heavy guest: it may take seconds to arrive, and leaves when nobody wants it.
  const compilers = makeThreadPool({ log }, { threads: 2, deadlineMs: 15_000, idleMs: 30_000 });
  const definitionsOf = rememberDefinitions();

  return {
    render: async (db, tenantId, uses) => {
      const heads = await findHeads(db, tenantId, uses);
      const definitions = await definitionsOf(
        db,
        heads.flatMap((head) =>
          head ? [head.versionId, ...(head.layoutVersionId ? [head.layoutVersionId] : [])] : [],
        ),
      );
      return Promise.all(
        uses.map(async (use, index) => {
          try {
            const { task, sources } = taskOf(use, heads[index], definitions);
            const outcome = await renderers.run(tenantId, task, sources);
            if ('fault' in outcome) return faultOf(use.id, outcome.fault);
            return outcome.value;
          } catch (error) {
            if (error instanceof PosternError && error.status < 500) return error;
            throw error;
          }
        }),
      );
    },
    compile: async (tenantId, templateKind, definition) => {
      const outcome = await compilers.run(tenantId, { kind: 'compile', templateKind, definition }, {});
      if ('fault' in outcome) return { faults: [{ path: 'contents', message: outcome.fault.message }] };
      return outcome.value;
    },
    close: async () => {
      await Promise.all([renderers.close(), compilers.close()]);
    },
  };
}

/** @throws templateUnknown, missingVariables, invalidVariables, variablesTooLarge */
function taskOf(
  use: TemplateUse,
  head: TemplateHead | undefined,
  definitions: Map<string, Definition>,
): { task: RenderTask; sources: Record<string, Content> } {
  const definition = head && definitions.get(head.versionId);
  if (!definition || head.kind !== 'letter') throw unknown(use);
  const layout = head.layoutVersionId === null ? undefined : definitions.get(head.layoutVersionId);
  const letterSource = sourceOf(head.versionId, definition, [use.language ?? []].flat());
  const layoutSource = layout && sourceOf(head.layoutVersionId ?? '', layout, [letterSource.language]);
  const declared = [...(layout?.variables ?? []), ...definition.variables];
  const variables = bindVariables(head.name, declared, use.variables ?? {});
  const redacted = redactVariables(variables, [...definition.secrets, ...(layout?.secrets ?? [])]);
  return {
    task: {
      kind: 'render',
      letter: letterSource.key,
      ...(layoutSource && { layout: layoutSource.key }),
      language: letterSource.language,
      variables,
      ...(redacted && { redacted }),
    },
    sources: Object.fromEntries(
      [letterSource, ...(layoutSource ? [layoutSource] : [])].map((one) => [one.key, one.content]),
    ),
  };
}

function sourceOf(versionId: string, { contents, defaultLanguage }: Definition, wishes: string[]): Source {
  const language = pickLanguage(Object.keys(contents), wishes, defaultLanguage);
  const { mjml: _, ...content } = contents[language] ?? {};
  return { key: `${versionId} ${language}`, language, content };
}

function unknown({ id, version }: TemplateUse): PosternError {
  const shown = JSON.stringify(id).slice(0, 120);
  const detail =
    version === undefined
      ? `There is no template ${shown} to send.`
      : `There is no version ${version} of a template ${shown}.`;
  return templateUnknown({ detail, errors: [{ path: 'template.id', message: detail }] });
}

function faultOf(id: string, { kind, message, variable, line, column }: TemplateFault): PosternError {
  const where = line === undefined ? '' : ` (line ${line}, column ${column})`;
  if (kind === 'undefined') {
    return missingVariables({
      detail: `The template "${id}" needs ${variable}${where}.`,
      errors: [{ path: `template.variables.${variable}`, message: 'is required' }],
    });
  }
  const detail = `The template "${id}": ${message}${where}.`;
  return (kind === 'limit' ? renderLimit : renderFailed)({ detail, errors: [{ path: 'template', message }] });
}

function rememberDefinitions() {
  const remembered = new Map<string, Definition>();
  let characters = 0;
  const weigh = ({ contents }: Definition) =>
    Object.values(contents).reduce(
      (sum, { html = '', text = '', mjml = '' }) => sum + html.length + text.length + mjml.length,
      0,
    );
  return async (db: Queryable, versionIds: string[]): Promise<Map<string, Definition>> => {
    const wanted = [...new Set(versionIds)];
    const missing = wanted.filter((id) => !remembered.has(id));
    const read = missing.length === 0 ? new Map<string, Definition>() : await readDefinitions(db, missing);
    const all = new Map(
      wanted.flatMap((id) => {
        const definition = remembered.get(id) ?? read.get(id);
        return definition ? [[id, definition] as const] : [];
      }),
    );
    for (const [id, definition] of read) {
      if (!remembered.has(id)) characters += weigh(definition);
      remembered.set(id, definition);
    }
    for (const [id, definition] of remembered) {
      if (characters <= maxRememberedCharacters) break;
      remembered.delete(id);
      characters -= weigh(definition);
    }
    return all;
  };
}
