/** Checks what an author wrote before it becomes a version, and compiles MJML. Runs in a thread. */
import { type Engines, readFault } from './engine.ts';
import { parseContent } from './render.ts';
import { type Content, type Definition, providedVariables, type TemplateKind } from './template.ts';

export interface SourceFault {
  /** Dotted, e.g. `contents.en.html`. */
  path: string;
  message: string;
}

export type Compiled = { definition: Definition } | { faults: SourceFault[] };

/**
 * @param definition `html` of an MJML content is not there yet; `variables` are to be derived where
 *   `areVariablesDerived`
 */
export async function compileDefinition(
  engines: Engines,
  kind: TemplateKind,
  definition: Definition,
): Promise<Compiled> {
  const faults: SourceFault[] = [];
  const contents: Record<string, Content> = {};
  const used = new Map<string, SourceFault>();
  for (const [language, content] of Object.entries(definition.contents)) {
    for (const part of ['subject', 'html', 'mjml', 'text'] as const) {
      const source = content[part];
      if (source === undefined) continue;
      const path = `contents.${language}.${part}`;
      faults.push(...readSource(engines, path, part, source, kind, used));
    }
    contents[language] = content;
    if (content.mjml === undefined || faults.length > 0) continue;
    const path = `contents.${language}.mjml`;
    try {
      // Heavy, and of no use to threads that render.
      const { compileMjml } = await import('./mjml.ts');
      contents[language] = { ...content, html: await compileMjml(content.mjml) };
      parseContent(engines, contents[language]);
    } catch (error) {
      faults.push({ path, message: wordsOf(error) });
    }
  }
  if (faults.length > 0) return { faults };
  const undeclared = [...used].filter(([name]) => !definition.variables.some((one) => one.name === name));
  if (!definition.areVariablesDerived && undeclared.length > 0) return { faults: undeclared.map(([, fault]) => fault) };
  const derived = undeclared.map(([name]) => ({ name, required: true }));
  return { definition: { ...definition, contents, variables: [...definition.variables, ...derived] } };
}

/** Notes the variables a source uses, and returns what is wrong with it. */
function readSource(
  { html, plain }: Engines,
  path: string,
  part: 'subject' | 'html' | 'mjml' | 'text',
  source: string,
  kind: TemplateKind,
  used: Map<string, SourceFault>,
): SourceFault[] {
  const engine = part === 'html' || part === 'mjml' ? html : plain;
  try {
    const globals = engine.analyzeSync(engine.parse(source)).globals;
    if (kind === 'layout' && !('content' in globals)) {
      return [{ path, message: 'needs {{ content }} where the letters in this layout go' }];
    }
    const provided = kind === 'layout' ? providedVariables : ['language'];
    for (const [name, uses] of Object.entries(globals)) {
      if (provided.includes(name) || used.has(name)) continue;
      const { row, col } = uses[0]?.location ?? {};
      const message = `line ${row}, column ${col}: uses {{ ${name} }}, which "variables" does not declare`;
      used.set(name, { path, message });
    }
    return [];
  } catch (error) {
    return [{ path, message: wordsOf(error) }];
  }
}

function wordsOf(error: unknown): string {
  const mjmlLine = error instanceof Error && 'line' in error ? error.line : undefined;
  if (typeof mjmlLine === 'number') return `line ${mjmlLine}: ${error instanceof Error ? error.message : ''}`;
  const { message, line, column } = readFault(error);
  return line === undefined ? message : `line ${line}, column ${column}: ${message}`;
}
