import type { Queryable } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import type { TemplateRenderer } from '../templates/renderer.ts';
import { checkRendered } from './check-email.ts';
import type { NewEmail } from './email.ts';

export interface FillWorld {
  templates: Pick<TemplateRenderer, 'render'>;
}

/**
 * Gives letters that name a template their text. Faults are found here, where the caller still listens; delivery knows
 * nothing of templates.
 * @param checked letters of one tenant, and what was refused before
 * @returns in the order of `checked`
 * @throws renderBusy
 */
export async function fillIn(
  { templates }: FillWorld,
  db: Queryable,
  checked: (NewEmail | PosternError)[],
): Promise<(NewEmail | PosternError)[]> {
  const uses = checked.flatMap((one) => (one instanceof PosternError || !one.template ? [] : [one.template]));
  const [first] = checked.flatMap((one) => (one instanceof PosternError ? [] : [one]));
  if (uses.length === 0 || !first) return checked;
  const rendered = (await templates.render(db, first.tenantId, uses)).values();
  return checked.map((one) => {
    if (one instanceof PosternError || !one.template) return one;
    const text = rendered.next().value;
    if (!text) throw new Error('Templates were rendered with too few results.');
    return text instanceof PosternError ? text : checkRendered(one, text);
  });
}

/** @throws what is wrong with the template or its variables */
export async function fillInOne(world: FillWorld, db: Queryable, email: NewEmail): Promise<NewEmail> {
  if (!email.template) return email;
  const [filled] = await fillIn(world, db, [email]);
  if (!filled) throw new Error('A letter was lost while its template was rendered.');
  if (filled instanceof PosternError) throw filled;
  return filled;
}
