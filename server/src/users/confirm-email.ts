/** Hearing what the two addresses of a change say. The change is made with the last word that was missing. */
import { recordAudit } from '../audit/record.ts';
import type { Purpose } from '../challenges/challenge.ts';
import { codeExpired, linkExpired } from '../challenges/errors.ts';
import { redeemCode, redeemLink } from '../challenges/redeem.ts';
import { type Transaction, violatedConstraint } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import type { Caller } from '../http/caller.ts';
import type { ChangeWorld } from './change-email.ts';
import { confirmEmailChange, dropEmailChange, type EmailChange, findEmailChange } from './email-change-store.ts';
import { alreadyRegistered } from './errors.ts';
import { noticeLetter } from './mails.ts';
import { lockUser, replaceEmail } from './store.ts';
import type { User } from './user.ts';
import type { ForgetUser } from './who-am-i.ts';

export interface ConfirmWorld extends ChangeWorld {
  forgetUser: ForgetUser;
}

/**
 * Confirms by the token of either letter's link.
 * @returns whether the address has changed with it; else the other one has to confirm
 * @throws linkInvalid, linkExpired, alreadyRegistered
 */
export async function confirmByLink(world: ConfirmWorld, token: string): Promise<boolean> {
  const redeem = (purpose: Purpose) =>
    redeemLink(world, { purpose, token }, (tx, { userId, challengeId }) =>
      confirm(world, tx, { userId, challengeId, over: linkExpired }),
    );
  try {
    return afterwards(world, await redeem('change_email_new'));
  } catch (error) {
    if (!(error instanceof PosternError && error.code === 'challenges.link_invalid')) throw error;
    return afterwards(world, await redeem('change_email_old'));
  }
}

/**
 * Confirms by the code of either letter, for the user who asked for the change. A code says not which letter it is from,
 * so it is tried on each side that has yet to confirm.
 * @returns as confirmByLink
 * @throws codeInvalid, codeExpired, tooManyTries, alreadyRegistered
 */
export async function confirmByCode(
  world: ConfirmWorld,
  { id: userId, tenantId }: Caller,
  { code, ip }: { code: string; ip: string },
): Promise<boolean> {
  const change = await findEmailChange(world.db, userId);
  const refusals: PosternError[] = [];
  for (const [purpose, emailNormalized] of change ? missingSides(change) : []) {
    try {
      const attempt = { userId, tenantId, purpose, emailNormalized, code, ip };
      const changed = await redeemCode(world, attempt, (tx, { challengeId }) =>
        confirm(world, tx, { userId, challengeId, over: codeExpired }),
      );
      return afterwards(world, changed);
    } catch (error) {
      if (!(error instanceof PosternError && error.code.startsWith('challenges.'))) throw error;
      refusals.push(error);
    }
  }
  throw telling(refusals) ?? codeExpired({ detail: 'No change of your address waits to be confirmed.' });
}

function missingSides(change: EmailChange): [Purpose, string][] {
  const sides: [Purpose, string][] = [];
  if (!change.isNewConfirmed) sides.push(['change_email_new', change.emailNormalized]);
  if (!change.isOldConfirmed) sides.push(['change_email_old', change.oldEmailNormalized ?? '']);
  return sides;
}

/** Of two refusals the one that leaves most to be done: another try, then a wait, then a new letter. */
function telling(refusals: PosternError[]): PosternError | undefined {
  const order = [400, 429, 410];
  return refusals.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status))[0];
}

async function afterwards({ wakeWorkers, forgetUser }: ConfirmWorld, changed: string | undefined): Promise<boolean> {
  if (changed === undefined) return false;
  wakeWorkers();
  await forgetUser(changed);
  return true;
}

/**
 * In the transaction that uses the challenge up. Both sides may come at once: they stand in line for the user's row.
 * @returns whose address has changed with it, if it has
 */
async function confirm(
  world: ChangeWorld,
  tx: Transaction,
  { userId, challengeId, over }: { userId: string; challengeId: string; over: typeof codeExpired },
): Promise<string | undefined> {
  const user = await lockUser(tx, userId);
  const change = user && (await confirmEmailChange(tx, userId, challengeId));
  if (!change) throw over({ detail: 'The change was ended or replaced since the letter was written.' });
  const verified = user.emailVerifiedAt === null ? null : user.emailNormalized;
  // An address that was verified meanwhile has not been asked.
  if (verified !== change.oldEmailNormalized) {
    throw over({ detail: 'The present address is another one than when the letter was written. Ask once more.' });
  }
  if (!change.isNewConfirmed || !change.isOldConfirmed) return undefined;
  await completeChange(world, tx, user, change);
  return userId;
}

async function completeChange(world: ChangeWorld, tx: Transaction, user: User, change: EmailChange): Promise<void> {
  const { id: userId, tenantId, email } = user;
  try {
    await replaceEmail(tx, userId, change);
  } catch (error) {
    if (violatedConstraint(error) !== 'users_tenant_id_email_normalized_key') throw error;
    throw alreadyRegistered({ detail: 'The new address belongs to another account.', cause: error });
  }
  await dropEmailChange(tx, userId);
  await recordAudit(tx, { tenantId, type: 'user.email_changed', actor: `user:${userId}`, userId });
  if (email === null) return;
  await world.submitEmails(tx, [await noticeLetter(world, tx, { ...user, email }, 'postern.email_changed')]);
}
