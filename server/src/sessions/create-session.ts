import { newId } from '../crypto/ids.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Queryable } from '../database/database.ts';
import type { Method } from '../second-factors/second-factor.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { currentTokens, type LiveSession, type SessionTimes, type TokenWorld } from './session.ts';
import { insertSession } from './store.ts';

export interface Login {
  user: User;
  tenant: Tenant;
  origin: Origin;
  /** How the user has authenticated. */
  methods: readonly Method[];
}

/**
 * Logs a user in, in the caller's transaction if there is one.
 * @throws invalidCredentials when the user or the password is not the one that was checked any more, or owes a second factor
 */
export async function createSession(world: TokenWorld & SessionTimes, tx: Queryable, login: Login): Promise<Token> {
  const session = await makeSession(world, tx, login);
  return currentTokens(world, session, { tenantSlug: login.tenant.slug });
}

/** The session alone, for who needs no tokens. @throws as createSession */
export async function makeSession(
  { refreshTokenSeconds, sessionSeconds }: SessionTimes,
  tx: Queryable,
  { user, tenant, origin, methods }: Login,
): Promise<LiveSession> {
  const { id: userId, passwordHash } = user;
  const { id: tenantId } = tenant;
  const session = await insertSession(
    tx,
    { id: newId(), tenantId, userId, ...origin, methods, passwordHash, refreshTokenSeconds, sessionSeconds },
    { tenantId, type: 'user.logged_in', actor: `user:${userId}`, userId, ip: origin.ip },
  );
  if (!session) throw invalidCredentials();
  return session;
}
