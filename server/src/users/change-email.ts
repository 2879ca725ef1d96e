/** Asking for another e-mail address: both addresses get a letter, and `confirm-email.ts` hears their answers. */
import type { Purpose } from '../challenges/challenge.ts';
import { type IssuedChallenge, issueChallenge } from '../challenges/issue.ts';
import { newAddressLetter, oldAddressLetter } from '../challenges/mails.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { NewEmail } from '../emails/email.ts';
import type { Caller } from '../http/caller.ts';
import { putEmailChange } from './email-change-store.ts';
import { invalidCredentials } from './errors.ts';
import { noticeLetter } from './mails.ts';
import { findUserByEmail, findUserById, lockUser } from './store.ts';
import { type PasswordWorld, tryPassword } from './try-password.ts';
import { type Address, invalidField, readEmail, type User } from './user.ts';
import type { LetterWorld } from './verify-email.ts';

export interface ChangeWorld extends LetterWorld, PasswordWorld {
  db: Database;
  wakeWorkers: () => void;
}

/** An address has had its letters for now. */
class NoLetterLeft extends Error {}

/**
 * Starts a change of address. Where an address has had its letters for now nothing happens, and an earlier change stays
 * as it was: half of a change can never be completed.
 *
 * Whether the new address is taken shows in nothing the user can see: the letter to the old address is written all the
 * same, the challenge of the new one too. Only the letter there is another one, to its owner.
 * @throws invalidRequest, invalidCredentials, the error of a limit, busy
 */
export async function requestEmailChange(
  world: ChangeWorld,
  caller: Caller,
  input: { email: string; password: string; ip: string },
): Promise<void> {
  const address = readEmail(input.email);
  const user = await checkOwnPassword(world, caller, input);
  if (user.emailNormalized === address.emailNormalized) throw invalidField('email', 'is the address you have');
  try {
    await world.db.begin((tx) => writeLetters(world, tx, user, address));
  } catch (error) {
    if (error instanceof NoLetterLeft) return;
    throw error;
  }
  world.wakeWorkers();
}

async function checkOwnPassword(
  world: ChangeWorld,
  caller: Caller,
  { password, ip }: { password: string; ip: string },
): Promise<User> {
  const user = await findUserById(world.db, caller.tenantId, caller.id);
  const { ok } = await tryPassword(world, { user, name: caller.id, password, ip });
  if (!user || !ok) throw wrongPassword();
  return user;
}

async function writeLetters(world: ChangeWorld, tx: Transaction, asker: User, address: Address): Promise<void> {
  const { id: userId, tenantId } = asker;
  const user = await lockUser(tx, userId);
  // A password changed meanwhile has ended what the former one began.
  if (!user || user.passwordHash !== asker.passwordHash) throw wrongPassword();
  const old = verifiedAddress(user);
  const challenges = await issueAll(world, tx, user, [
    ['change_email_new', address.emailNormalized],
    ...(old === undefined ? [] : [['change_email_old', old.emailNormalized] as const]),
  ]);
  const toNew = challenges.get('change_email_new');
  const toOld = challenges.get('change_email_old');
  if (!toNew) throw new Error('The new address has no challenge.');
  const letters = [await letterToNew(world, tx, user, address, toNew)];
  if (old && toOld) {
    const to = { tenantId, userId, address: old.email, newAddress: address.email };
    letters.push(await oldAddressLetter(world, tx, to, toOld));
  }
  const agreeing = old && toOld && { emailNormalized: old.emailNormalized, challengeId: toOld.id };
  await putEmailChange(tx, { userId, tenantId, ...address, newChallengeId: toNew.id, old: agreeing });
  await world.submitEmails(tx, letters);
}

function verifiedAddress({ email, emailNormalized, emailVerifiedAt }: User): Address | undefined {
  return email !== null && emailNormalized !== null && emailVerifiedAt !== null
    ? { email, emailNormalized }
    : undefined;
}

/** In the order of the addresses: two users who want each other's address would otherwise wait for each other's lock. */
async function issueAll(
  world: LetterWorld,
  tx: Transaction,
  { id: userId, tenantId }: User,
  sides: (readonly [Purpose, string])[],
): Promise<Map<Purpose, IssuedChallenge>> {
  const issued = new Map<Purpose, IssuedChallenge>();
  for (const [purpose, emailNormalized] of sides.toSorted(([, a], [, b]) => (a < b ? -1 : 1))) {
    const challenge = await issueChallenge(world, tx, { tenantId, userId, purpose, emailNormalized });
    if (!challenge) throw new NoLetterLeft();
    issued.set(purpose, challenge);
  }
  return issued;
}

async function letterToNew(
  world: LetterWorld,
  tx: Transaction,
  { id: userId, tenantId }: User,
  { email, emailNormalized }: Address,
  challenge: IssuedChallenge,
): Promise<NewEmail> {
  const owner = await findUserByEmail(tx, tenantId, emailNormalized);
  if (owner?.email) return noticeLetter(world, tx, { ...owner, email: owner.email }, 'postern.address_taken');
  return newAddressLetter(world, tx, { tenantId, userId, address: email }, challenge);
}

function wrongPassword() {
  return invalidCredentials({ detail: 'The password is wrong.' });
}
