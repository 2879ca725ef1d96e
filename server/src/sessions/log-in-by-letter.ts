/** Logging in without a password: a letter to the address, and a session for whoever has the letter. */
import { lettersBySource } from '../challenges/challenge.ts';
import { codeExpired } from '../challenges/errors.ts';
import { issueChallenge } from '../challenges/issue.ts';
import { logInLetter } from '../challenges/mails.ts';
import { type RedeemWorld, redeemCode, redeemLink } from '../challenges/redeem.ts';
import { findHolder, type Proven } from '../challenges/store.ts';
import { newId } from '../crypto/ids.ts';
import type { Database, Transaction } from '../database/database.ts';
import { sourceOf } from '../limits/source.ts';
import { claimAddress } from '../users/claim-user.ts';
import type { EndSessions } from '../users/delete-user.ts';
import { findUserByEmail, lockUser } from '../users/store.ts';
import type { User } from '../users/user.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import type { Login } from './create-session.ts';

export interface LetterLoginWorld extends LetterWorld, RedeemWorld {
  db: Database;
  tenantSlug: (id: string) => Promise<string>;
  endSessions: EndSessions;
  wakeWorkers: () => void;
}

/**
 * Writes the letter, if the address is somebody's. For nobody's all is the same up to the letter itself (S2).
 * @returns the challenge's id; one of nothing where the address has had its letters for now
 * @throws the error of a limit
 */
export async function requestLogin(
  world: LetterLoginWorld,
  { tenantId, emailNormalized, ip }: { tenantId: string; emailNormalized: string; ip: string },
): Promise<string> {
  await world.limits.take([{ limit: lettersBySource, key: sourceOf(ip) }]);
  const done = await world.db.begin(async (tx) => {
    const found = await findUserByEmail(tx, tenantId, emailNormalized);
    const user = found?.disabledAt === null ? found : undefined;
    const about = { tenantId, userId: user?.id, purpose: 'log_in', emailNormalized } as const;
    const challenge = await issueChallenge(world, tx, about);
    if (!challenge) return { id: newId(), wroteLetter: false };
    if (!user || user.email === null) return { id: challenge.id, wroteLetter: false };
    const to = { tenantId, userId: user.id, address: user.email };
    await world.submitEmails(tx, [await logInLetter(world, tx, to, challenge)]);
    return { id: challenge.id, wroteLetter: true };
  });
  if (done.wroteLetter) world.wakeWorkers();
  return done.id;
}

/** How the session is opened, and what stands for it: tokens, or a browser's cookie. */
export type OpenSession<T> = (tx: Transaction, login: Omit<Login, 'origin'>) => Promise<T>;

export interface LoggedIn<T> {
  user: User;
  tenantSlug: string;
  opened: T;
}

/**
 * Logs in by the code of the letter, in the browser or device that asked for it: nobody else knows the challenge's id.
 * @throws codeInvalid, codeExpired, tooManyTries, the error of a limit
 */
export async function logInByCode<T>(
  world: LetterLoginWorld,
  { challengeId, code, ip }: { challengeId: string; code: string; ip: string },
  open: OpenSession<T>,
): Promise<LoggedIn<T>> {
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(challengeId);
  const holder = isId ? await findHolder(world.db, 'log_in', challengeId) : undefined;
  if (!holder) throw codeExpired({ detail: 'It was used or replaced, or its time is over. Ask for a new one.' });
  const attempt = { ...holder, purpose: 'log_in', code, ip } as const;
  return announced(await redeemCode(world, attempt, (tx, proven) => complete(world, tx, proven, open)));
}

/**
 * Logs in by the link of the letter.
 * @throws linkInvalid, linkExpired
 */
export async function logInByLink<T>(
  world: LetterLoginWorld,
  token: string,
  open: OpenSession<T>,
): Promise<LoggedIn<T>> {
  const link = { purpose: 'log_in', token } as const;
  return announced(await redeemLink(world, link, (tx, proven) => complete(world, tx, proven, open)));
}

function announced<T>({ announce, ...done }: LoggedIn<T> & { announce: () => void }): LoggedIn<T> {
  announce();
  return done;
}

/** In the transaction that uses the challenge up. */
async function complete<T>(
  world: LetterLoginWorld,
  tx: Transaction,
  { userId, emailNormalized }: Proven,
  open: OpenSession<T>,
): Promise<LoggedIn<T> & { announce: () => void }> {
  const found = await lockUser(tx, userId);
  if (!found || found.emailNormalized !== emailNormalized || found.disabledAt !== null) {
    throw codeExpired({ detail: 'The account has changed since the letter was written.' });
  }
  const { user, announce } = await claimAddress(world, tx, found);
  const tenantSlug = await world.tenantSlug(user.tenantId);
  const opened = await open(tx, { user, tenant: { id: user.tenantId, slug: tenantSlug }, methods: ['email'] });
  return { user, tenantSlug, opened, announce };
}
