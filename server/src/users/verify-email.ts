import { recordAudit } from '../audit/record.ts';
import { lettersBySource } from '../challenges/challenge.ts';
import { codeExpired } from '../challenges/errors.ts';
import { issueChallenge } from '../challenges/issue.ts';
import { type LetterSettings, verificationLetter } from '../challenges/mails.ts';
import { type RedeemWorld, redeemCode, redeemLink } from '../challenges/redeem.ts';
import { takeLetter } from '../challenges/store.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import type { NewEmail } from '../emails/email.ts';
import type { Limits } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';
import { type CheckingPasswords, checkPassword, type LoginName } from './check-password.ts';
import { invalidCredentials } from './errors.ts';
import { findUserByEmail, markVerified } from './store.ts';
import type { User } from './user.ts';
import type { ForgetUser } from './who-am-i.ts';

/** What writing a letter takes. */
export interface LetterWorld extends LetterSettings {
  secrets: Secrets;
  submitEmails: (db: Queryable, emails: NewEmail[]) => Promise<unknown>;
}

/**
 * Writes the letter with code and link, in the transaction of what caused it. An address that has had its letters for
 * now gets none; the user may ask again later.
 * @returns whether there is a letter, and so mail workers to wake after the commit
 */
export async function sendVerification(world: LetterWorld, tx: Transaction, user: User): Promise<boolean> {
  const { id: userId, tenantId, email, emailNormalized } = user;
  if (email === null || emailNormalized === null || user.emailVerifiedAt !== null || user.disabledAt !== null)
    return false;
  const challenge = await issueChallenge(world, tx, { tenantId, userId, purpose: 'verify_email', emailNormalized });
  if (!challenge) return false;
  await world.submitEmails(tx, [await verificationLetter(world, tx, { tenantId, userId, address: email }, challenge)]);
  return true;
}

export interface ResendWorld extends LetterWorld {
  db: Database;
  limits: Limits;
  wakeWorkers: () => void;
}

/**
 * Sends a new letter if there is somebody to verify. For anybody else it does the same up to the letter itself: the lock,
 * the count, the commit (S2). What difference remains can be measured five times an hour, then nobody gets a letter.
 */
export async function resendVerification(
  world: ResendWorld,
  tenantId: string,
  emailNormalized: string,
  ip: string,
): Promise<void> {
  await world.limits.take([{ limit: lettersBySource, key: sourceOf(ip) }]);
  const wroteLetter = await world.db.begin(async (tx) => {
    const user = await findUserByEmail(tx, tenantId, emailNormalized);
    if (user && user.emailVerifiedAt === null && user.disabledAt === null) return sendVerification(world, tx, user);
    await takeLetter(tx, newId(), { tenantId, emailNormalized });
    return false;
  });
  if (wroteLetter) world.wakeWorkers();
}

/**
 * Verifies by the code from the letter, for whoever also knows the password.
 * @throws invalidCredentials, codeInvalid, codeExpired, tooManyTries, the error of a limit, busy
 */
export async function verifyByCode(
  world: RedeemWorld & CheckingPasswords & { forgetUser: ForgetUser },
  { code, ...login }: { tenantId: string | undefined; name: LoginName; password: string; code: string; ip: string },
): Promise<User> {
  const user = await checkPassword(world, login);
  if (!user) throw invalidCredentials({ headers: basicChallenge });
  return verifyOwnByCode(world, user, { code, ip: login.ip });
}

/**
 * Verifies by the code from the letter, for a user who is known to be the one who asks.
 * @throws codeInvalid, codeExpired, tooManyTries, the error of a limit
 */
export async function verifyOwnByCode(
  world: RedeemWorld & { forgetUser: ForgetUser },
  { id: userId, tenantId, emailNormalized }: User,
  { code, ip }: { code: string; ip: string },
): Promise<User> {
  if (emailNormalized === null) throw codeExpired({ detail: 'This user has no e-mail address to verify.' });
  const attempt = { userId, tenantId, purpose: 'verify_email', emailNormalized, code, ip } as const;
  const verified = await redeemCode(world, attempt, (tx) => completeVerification(tx, userId, emailNormalized));
  await world.forgetUser(userId);
  return verified;
}

/**
 * Verifies by the token from the link.
 * @throws linkInvalid, linkExpired
 */
export async function verifyByLink(
  world: { db: Database; secrets: Secrets; forgetUser: ForgetUser },
  token: string,
): Promise<User> {
  const user = await redeemLink(world, { purpose: 'verify_email', token }, (tx, { userId, emailNormalized }) =>
    completeVerification(tx, userId, emailNormalized),
  );
  await world.forgetUser(user.id);
  return user;
}

export const basicChallenge = { 'WWW-Authenticate': 'Basic realm="postern", charset="UTF-8"' };

async function completeVerification(tx: Transaction, userId: string, emailNormalized: string): Promise<User> {
  const verified = await markVerified(tx, userId, emailNormalized);
  if (!verified) throw codeExpired({ detail: 'The address has changed since the letter was written.' });
  const { tenantId } = verified;
  await recordAudit(tx, { tenantId, type: 'user.verified', actor: `user:${userId}`, userId });
  return verified;
}
