/** What adding a second factor takes, whatever its kind. */
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { userNotFound } from '../users/errors.ts';
import { noticeLetter } from '../users/mails.ts';
import { lockUser } from '../users/store.ts';
import type { User } from '../users/user.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import { addressUnproven, tooManyFactors } from './errors.ts';
import { requireRecent } from './recent.ts';
import { makeRecoveryCodes } from './recovery-codes.ts';
import { maxFactors } from './second-factor.ts';
import { countFactors, factorsOf } from './store.ts';

export interface AddWorld extends LetterWorld {
  db: Database;
  secrets: Secrets;
  wakeWorkers: () => void;
}

/**
 * The caller's user, locked, if they may add one. Not before their address is proven: it may be somebody else's, who
 * could then never get in (S37).
 * @throws stepUpRequired, addressUnproven, tooManyFactors
 */
export async function requireRoom(tx: Transaction, caller: Caller): Promise<User> {
  const user = await lockUser(tx, caller.id);
  if (!user) throw userNotFound();
  requireRecent(caller, user);
  if (user.email !== null && user.emailVerifiedAt === null) {
    throw addressUnproven({ detail: 'Confirm your address first, by the code or the link of the letter.' });
  }
  if ((await factorsOf(tx, user.id)).length >= maxFactors) {
    throw tooManyFactors({ detail: `An account has at most ${maxFactors}. Remove one first.` });
  }
  return user;
}

/**
 * Makes one that was just written down count, and tells the owner.
 * @returns recovery codes, where it is the first
 */
export async function addFactor(world: AddWorld, tx: Transaction, user: User): Promise<string[] | undefined> {
  await countFactors(tx, user.id);
  await tell(world, tx, user, 'postern.second_factor_added');
  return user.hasSecondFactor ? undefined : makeRecoveryCodes(world, tx, user.id);
}

/** In the letter's own words, to whom it may be news. */
export async function tell(
  world: LetterWorld,
  tx: Transaction,
  user: User,
  name: `postern.second_factor_${'added' | 'removed'}`,
): Promise<void> {
  if (user.email === null) return;
  await world.submitEmails(tx, [await noticeLetter(world, tx, { ...user, email: user.email }, name)]);
}
