import type { Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import type { TemplateUse } from '../templates/renderer.ts';
import { acceptWithin, type Intake, unlessRefused } from './accept-letters.ts';
import { checkEmail, type SenderWorld, senderRules } from './check-email.ts';
import type { SubmittedEmail } from './email.ts';
import { type FillWorld, fillInOne } from './fill-in.ts';

/** Accepts a letter made of a template, to one address and from MAIL_FROM. */
export async function sendTemplate(
  world: SenderWorld & FillWorld & Pick<Intake, 'submitEmails' | 'quotas'>,
  tx: Queryable,
  caller: Caller,
  { to, template }: { to: string; template: TemplateUse },
): Promise<SubmittedEmail> {
  const email = { ...checkEmail(await senderRules(world, caller), caller, { to, subject: '' }, new Map()), template };
  const [submitted] = await acceptWithin(world, tx, [await fillInOne(world, tx, email)]);
  return unlessRefused(submitted);
}
