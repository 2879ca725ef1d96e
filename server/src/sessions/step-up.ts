/** Authenticating again within a session (RFC 9470): for what a session alone, which may be stolen, is not enough for. */
import type { AuthenticationResponseJSON } from '@simplewebauthn/server';
import { recordAudit } from '../audit/record.ts';
import type { Cache } from '../cache.ts';
import type { Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { type Asked, askForPasskey, checkPasskey } from '../second-factors/passkeys.ts';
import type { Method } from '../second-factors/second-factor.ts';
import { tryCode } from '../second-factors/try-code.ts';
import { invalidCredentials } from '../users/errors.ts';
import { findUserById, lockUser } from '../users/store.ts';
import { type PasswordWorld, tryPassword } from '../users/try-password.ts';
import { forgetSession } from './browser-session.ts';
import { sessionNotFound } from './errors.ts';
import type { SessionTimes } from './session.ts';
import type { SecondFactorLoginWorld } from './show-second-factor.ts';
import { type RefreshedSession, renewSession } from './store.ts';

export interface StepUpWorld extends SecondFactorLoginWorld, PasswordWorld, SessionTimes {
  cache: Cache;
}

export type Shown =
  | { password: string; ip: string }
  | { code: string }
  | { ceremony: string; response: AuthenticationResponseJSON };

/** Asks for one of the caller's passkeys. */
export function beginPasskeyStepUp(world: StepUpWorld, { id: userId, tenantId }: Caller): Promise<Asked<object>> {
  return askForPasskey(world, { purpose: 'step_up', tenantId, userId, signInId: null });
}

/**
 * Who has a second factor shows that one: the first was shown when the session began.
 * @returns the session as it is now
 * @throws invalidCredentials, secondFactorInvalid, passkeyInvalid, sessionNotFound, the error of a limit, busy
 */
export async function stepUp(world: StepUpWorld, caller: Caller, shown: Shown): Promise<RefreshedSession> {
  const session = await show(world, caller, shown);
  await forgetSession(world.cache, session.id);
  return session;
}

async function show(world: StepUpWorld, caller: Caller, shown: Shown): Promise<RefreshedSession> {
  const { db } = world;
  if ('code' in shown) {
    return tryCode(world, { userId: caller.id, code: shown.code }, (tx) => renew(world, tx, caller, ['otp', 'mfa']));
  }
  if ('ceremony' in shown) {
    const { isUserVerified, use } = await checkPasskey(world, 'step_up', shown);
    return db.begin(async (tx) => {
      await lockUser(tx, caller.id);
      await use(tx);
      return renew(world, tx, caller, isUserVerified ? ['pop', 'user', 'mfa'] : ['pop', 'mfa']);
    });
  }
  const user = await findUserById(db, caller.tenantId, caller.id);
  const { ok } = await tryPassword(world, { user, name: caller.id, ...shown });
  if (!user || !ok) throw invalidCredentials({ detail: 'The password is wrong.' });
  if (user.hasSecondFactor)
    throw invalidRequest({ detail: 'This account has a second factor: send code, or a passkey.' });
  return db.begin(async (tx) => {
    const now = await lockUser(tx, caller.id);
    if (now?.passwordHash !== user.passwordHash)
      throw invalidCredentials({ detail: 'The password was changed meanwhile.' });
    return renew(world, tx, caller, ['pwd']);
  });
}

async function renew(
  { refreshTokenSeconds }: SessionTimes,
  tx: Transaction,
  { tenantId, name: actor, id: userId, sessionId }: Caller,
  methods: Method[],
): Promise<RefreshedSession> {
  const session = sessionId && (await renewSession(tx, { sessionId, methods, refreshTokenSeconds }));
  if (!session) throw sessionNotFound({ detail: 'It has ended. Log in again.' });
  await recordAudit(tx, { tenantId, type: 'session.stepped_up', actor, userId, data: { session: session.id } });
  return session;
}
