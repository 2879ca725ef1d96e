/** The second half of a login; and a login by a passkey, which is both halves at once. */
import type { AuthenticationResponseJSON } from '@simplewebauthn/server';
import type { Transaction } from '../database/database.ts';
import type { Limit } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';
import { passkeyInvalid } from '../second-factors/errors.ts';
import { type Asked, askForPasskey, checkPasskey, type PasskeySettings } from '../second-factors/passkeys.ts';
import type { Method } from '../second-factors/second-factor.ts';
import { type CodeWorld, tryCode } from '../second-factors/try-code.ts';
import { invalidCredentials } from '../users/errors.ts';
import { lockUser } from '../users/store.ts';
import type { User } from '../users/user.ts';
import type { LoggedIn, OpenSession } from './log-in-by-letter.ts';
import { readSignIn, signInIsOver } from './sign-in.ts';
import { takeSignIn } from './sign-in-store.ts';

export interface SecondFactorLoginWorld extends CodeWorld, PasskeySettings {
  registration: 'open' | 'private' | 'closed';
  tenantSlug: (id: string) => Promise<string>;
}

/** Each is a row until it is answered. */
const askedBySource: Limit = {
  code: 'limits.source',
  what: 'logins by passkey begun from one address',
  burst: 60,
  refillSeconds: 5,
  isBySource: true,
};

/**
 * Completes a login by a code of an app or a recovery code.
 * @throws signInOver, secondFactorInvalid, the error of a limit
 */
export async function showCode<T>(
  world: SecondFactorLoginWorld,
  { signInToken, code }: { signInToken: string; code: string },
  open: OpenSession<T>,
): Promise<LoggedIn<T>> {
  const signIn = await readSignIn(world, world.db, signInToken);
  const methods: Method[] = [...signIn.methods, 'otp', 'mfa'];
  return tryCode(world, { userId: signIn.userId, code }, (tx, user) =>
    complete(world, tx, { user, signInId: signIn.id, methods }, open),
  );
}

/**
 * Asks for a passkey: one of the user's whose first factor was right, or any at all.
 * @throws signInOver, the error of a limit
 */
export async function beginPasskeyLogin(
  world: SecondFactorLoginWorld,
  { tenantId, signInToken, ip }: { tenantId: string; signInToken: string | undefined; ip: string },
): Promise<Asked<object>> {
  await world.limits.take([{ limit: askedBySource, key: sourceOf(ip) }]);
  if (signInToken === undefined) {
    return askForPasskey(world, { purpose: 'log_in', tenantId, userId: null, signInId: null });
  }
  const signIn = await readSignIn(world, world.db, signInToken);
  const { userId, id: signInId } = signIn;
  return askForPasskey(world, { purpose: 'log_in', tenantId: signIn.tenantId, userId, signInId });
}

/** @throws passkeyInvalid, signInOver */
export async function logInByPasskey<T>(
  world: SecondFactorLoginWorld,
  answer: { ceremony: string; response: AuthenticationResponseJSON; signInToken?: string | undefined },
  open: OpenSession<T>,
): Promise<LoggedIn<T>> {
  const { passkey, asked, isUserVerified, use } = await checkPasskey(world, 'log_in', answer);
  // The ceremony says who begun it; that who answers has shown the first factor says the token alone.
  const signIn = answer.signInToken === undefined ? undefined : await readSignIn(world, world.db, answer.signInToken);
  if ((signIn?.id ?? null) !== asked.signInId) throw passkeyInvalid({ detail: 'It was asked for in another login.' });
  const methods: Method[] = [...(signIn?.methods ?? []), 'pop', ...(isUserVerified ? (['user'] as const) : []), 'mfa'];
  return world.db.begin(async (tx) => {
    const user = await lockUser(tx, passkey.userId);
    if (!user) throw invalidCredentials();
    const done = await complete(world, tx, { user, signInId: signIn?.id, methods }, open);
    await use(tx);
    return done;
  });
}

/** In the transaction that uses the second factor up, with the user locked. */
async function complete<T>(
  { registration, tenantSlug }: SecondFactorLoginWorld,
  tx: Transaction,
  { user, signInId, methods }: { user: User; signInId: string | undefined; methods: Method[] },
  open: OpenSession<T>,
): Promise<LoggedIn<T>> {
  if (signInId !== undefined && !(await takeSignIn(tx, signInId))) throw signInIsOver();
  const mayEnter = user.disabledAt === null && (registration !== 'private' || user.emailVerifiedAt !== null);
  if (!mayEnter) throw invalidCredentials();
  const slug = await tenantSlug(user.tenantId);
  const opened = await open(tx, { user, tenant: { id: user.tenantId, slug }, methods });
  return { user, tenantSlug: slug, opened };
}
