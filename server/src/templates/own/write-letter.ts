import type { Logger } from 'pino';
import type { Queryable } from '../../database/database.ts';
import { PosternError } from '../../errors.ts';
import type { TemplateRenderer } from '../renderer.ts';
import { findHeads } from '../store.ts';
import type { Rendered } from '../template.ts';
import { type OwnLetterName, renderOwnLetter } from './own-letters.ts';

export interface LetterOrder {
  tenantId: string;
  name: OwnLetterName;
  /** In the order in which they are wished for. */
  languages: string[];
  variables: Record<string, unknown>;
}

/** The text of a letter of Postern's own. It always comes: a tenant's template that fails is only logged. */
export type WriteLetter = (db: Queryable, order: LetterOrder) => Promise<Rendered>;

// How long another node's change of a template may go unseen.
const rememberMs = 1_000;
const maxRemembered = 10_000;

/** Whether a tenant has a template of that name is asked once a second, not for every letter. */
export function makeWriteLetter({ templates, log }: { templates: TemplateRenderer; log: Logger }): WriteLetter {
  const remembered = new Map<string, { isReplaced: boolean; until: number }>();

  async function isReplaced(db: Queryable, tenantId: string, name: string): Promise<boolean> {
    const key = `${tenantId} ${name}`;
    const now = performance.now();
    const known = remembered.get(key);
    if (known && known.until > now) return known.isReplaced;
    const [head] = await findHeads(db, tenantId, [{ id: name }]);
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(key, { isReplaced: head !== undefined, until: now + rememberMs });
    return head !== undefined;
  }

  return async (db, { tenantId, name, languages, variables }) => {
    if (await isReplaced(db, tenantId, name)) {
      const replaced = await renderReplacement(templates, db, tenantId, { id: name, language: languages, variables });
      if (!(replaced instanceof PosternError)) return replaced;
      log.warn({ tenantId, template: name, code: replaced.code }, 'a template failed; sending the built-in letter');
    }
    return renderOwnLetter(name, languages, variables);
  };
}

async function renderReplacement(
  templates: TemplateRenderer,
  db: Queryable,
  tenantId: string,
  use: Parameters<TemplateRenderer['render']>[2][number],
): Promise<Rendered | PosternError> {
  try {
    const [outcome] = await templates.render(db, tenantId, [use]);
    if (!outcome) throw new Error('Rendering returned nothing for a template.');
    return outcome;
  } catch (error) {
    // Nothing was written, so a full line of renderers leaves the transaction as it was. The database's own faults end it.
    if (error instanceof PosternError) return error;
    throw error;
  }
}
