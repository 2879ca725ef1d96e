/** Between the first factor and the session: whoever has a second one owes it (`second-factors/`). */
import { timingSafeEqual } from 'node:crypto';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Queryable } from '../database/database.ts';
import { kindsOf } from '../second-factors/store.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Login } from './create-session.ts';
import { secondFactorRequired, signInOver } from './errors.ts';
import { findSignIn, insertSignIn, type SignIn } from './sign-in-store.ts';

export const signInSeconds = 600;

/** The first factor was right, and a second is owed. */
export class SecondFactorOwed {
  /** Stands for the first factor. */
  readonly signInToken: string;
  /** What may be shown. */
  readonly accepts: ('totp' | 'recovery_code' | 'passkey')[];

  constructor(signInToken: string, accepts: SecondFactorOwed['accepts']) {
    this.signInToken = signInToken;
    this.accepts = accepts;
  }
}

/**
 * Opens the session, or notes that a second factor is owed. It is an answer and no error, since what has been used up so
 * far, a code say, stays used.
 * @throws invalidCredentials as createSession
 */
export async function unlessFactorOwed<T>(
  { secrets }: { secrets: Secrets },
  tx: Queryable,
  { user, methods }: Pick<Login, 'user' | 'methods'>,
  open: () => Promise<T>,
): Promise<T | SecondFactorOwed> {
  if (!user.hasSecondFactor || methods.includes('mfa')) return open();
  const id = newId();
  const { id: userId, passwordHash } = user;
  if (!(await insertSignIn(tx, { id, userId, passwordHash, methods, seconds: signInSeconds }))) {
    throw invalidCredentials();
  }
  const kinds = await kindsOf(tx, userId);
  const accepts = [...kinds, 'recovery_code'] as const;
  return new SecondFactorOwed(`${id}.${secrets.hmac('sign-in', id).toString('base64url')}`, [...accepts]);
}

/**
 * The session's tokens, or the refusal that says what is owed.
 * @throws secondFactorRequired
 */
export function orRefusal<T>(opened: T | SecondFactorOwed): T {
  if (!(opened instanceof SecondFactorOwed)) return opened;
  throw secondFactorRequired({
    detail: 'The first factor was right. Show the second: POST /auth/second-factor with sign_in_token and code.',
    members: { sign_in_token: opened.signInToken, accepts: opened.accepts, expires_in: signInSeconds },
  });
}

/** @throws signInOver */
export async function readSignIn(
  { secrets }: { secrets: Secrets },
  db: Queryable,
  token: string,
): Promise<SignIn & { id: string }> {
  const [, id = '', mac = ''] = /^([0-9a-f-]{36})\.([\w-]{43})$/.exec(token) ?? [];
  const given = Buffer.from(mac, 'base64url');
  const isOurs = secrets
    .hmacs('sign-in', id)
    .some((good) => good.length === given.length && timingSafeEqual(good, given));
  const signIn = isOurs ? await findSignIn(db, id) : undefined;
  if (!signIn) throw signInIsOver();
  return { ...signIn, id };
}

export function signInIsOver() {
  return signInOver({ detail: 'It has ended or its time is over. Begin again with the first factor.' });
}
