/** A password that was forgotten: a letter to the address, and a new password for whoever has the letter. */
import { recordAudit } from '../audit/record.ts';
import { lettersBySource } from '../challenges/challenge.ts';
import { codeExpired } from '../challenges/errors.ts';
import { issueChallenge } from '../challenges/issue.ts';
import { resetLetter } from '../challenges/mails.ts';
import { checkLink, type RedeemWorld, redeemCode, redeemLink } from '../challenges/redeem.ts';
import type { Proven } from '../challenges/store.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import type { Limits } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';
import type { EndSessions } from './delete-user.ts';
import { dropEmailChange } from './email-change-store.ts';
import { noticeLetter } from './mails.ts';
import type { SettingPasswords } from './register.ts';
import { findUserByEmail, setPassword } from './store.ts';
import { readEmail, type User } from './user.ts';
import type { LetterWorld } from './verify-email.ts';

export interface ForgotWorld extends LetterWorld {
  db: Database;
  limits: Limits;
  wakeWorkers: () => void;
}

/**
 * Writes the letter with code and link, if the address is somebody's. For nobody's address all is the same up to the
 * letter itself: the counts, the challenge, the commit (S2).
 * @throws the error of a limit
 */
export async function forgotPassword(
  world: ForgotWorld,
  { tenantId, emailNormalized, ip }: { tenantId: string; emailNormalized: string; ip: string },
): Promise<void> {
  await world.limits.take([{ limit: lettersBySource, key: sourceOf(ip) }]);
  const wroteLetter = await world.db.begin(async (tx) => {
    const user = await findEnabledUser(tx, tenantId, emailNormalized);
    const about = { tenantId, userId: user?.id, purpose: 'reset_password', emailNormalized } as const;
    const challenge = await issueChallenge(world, tx, about);
    if (!challenge || !user || user.email === null) return false;
    const to = { tenantId, userId: user.id, address: user.email };
    await world.submitEmails(tx, [await resetLetter(world, tx, to, challenge)]);
    return true;
  });
  if (wroteLetter) world.wakeWorkers();
}

export interface ResetWorld extends RedeemWorld, SettingPasswords, LetterWorld {
  db: Database;
  endSessions: EndSessions;
  wakeWorkers: () => void;
}

/**
 * Sets a new password by the link of the letter.
 * @throws linkInvalid, linkExpired, invalidRequest, commonPassword, busy
 */
export async function resetByLink(
  world: ResetWorld,
  { token, password }: { token: string; password: string },
): Promise<void> {
  const link = { purpose: 'reset_password', token } as const;
  // Hashing is dear: only for who has a letter.
  await checkLink(world, link);
  const passwordHash = await hashNew(world, password);
  const announce = await redeemLink(world, link, (tx, proven) => complete(world, tx, proven, passwordHash));
  afterwards(world, announce);
}

/**
 * Sets a new password by the code of the letter.
 * @throws codeInvalid, codeExpired, tooManyTries, invalidRequest, commonPassword, the error of a limit, busy
 */
export async function resetByCode(
  world: ResetWorld,
  {
    tenantId,
    email,
    code,
    password,
    ip,
  }: { tenantId: string; email: string; code: string; password: string; ip: string },
): Promise<void> {
  const { emailNormalized } = readEmail(email);
  const passwordHash = await hashNew(world, password);
  const user = await findEnabledUser(world.db, tenantId, emailNormalized);
  const attempt = { userId: user?.id, tenantId, emailNormalized, purpose: 'reset_password', code, ip } as const;
  const announce = await redeemCode(world, attempt, (tx, proven) => complete(world, tx, proven, passwordHash));
  afterwards(world, announce);
}

/** Who is disabled is nobody here. */
async function findEnabledUser(db: Queryable, tenantId: string, emailNormalized: string): Promise<User | undefined> {
  const user = await findUserByEmail(db, tenantId, emailNormalized);
  return user?.disabledAt === null ? user : undefined;
}

async function hashNew({ passwords, passwordPolicy }: SettingPasswords, password: string): Promise<string> {
  await passwordPolicy.check(password);
  return passwords.hash(password);
}

/**
 * In the transaction that uses the challenge up. Who reads the mailbox has proven the address as well; whoever was logged
 * in, or had begun a change of address, may be the reason for all this.
 */
async function complete(
  world: ResetWorld,
  tx: Transaction,
  { userId, emailNormalized }: Proven,
  passwordHash: string,
): Promise<() => void> {
  const user = await setPassword(tx, userId, { emailNormalized, passwordHash });
  if (!user?.email) throw codeExpired({ detail: 'The address has changed since the letter was written.' });
  await dropEmailChange(tx, userId);
  const { tenantId, email } = user;
  await recordAudit(tx, { tenantId, type: 'user.password_reset', actor: `user:${userId}`, userId });
  await world.submitEmails(tx, [await noticeLetter(world, tx, { ...user, email }, 'postern.password_changed')]);
  return world.endSessions(tx, userId);
}

function afterwards({ wakeWorkers }: ResetWorld, announce: () => void): void {
  announce();
  wakeWorkers();
}
