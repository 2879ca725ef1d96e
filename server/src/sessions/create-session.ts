import { newId } from '../crypto/ids.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Queryable } from '../database/database.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { currentTokens, type SessionTimes, type TokenWorld } from './session.ts';
import { insertSession } from './store.ts';

/**
 * Logs a user in, in the caller's transaction if there is one.
 * @throws invalidCredentials when the user or the password is not the one that was checked any more
 */
export async function createSession(
  world: TokenWorld & SessionTimes,
  tx: Queryable,
  { user, tenant, origin }: { user: User; tenant: Tenant; origin: Origin },
): Promise<Token> {
  const { refreshTokenSeconds, sessionSeconds } = world;
  const { id: userId, passwordHash } = user;
  const { id: tenantId } = tenant;
  const session = await insertSession(
    tx,
    { id: newId(), tenantId, userId, ...origin, passwordHash, refreshTokenSeconds, sessionSeconds },
    { tenantId, type: 'user.logged_in', actor: `user:${userId}`, userId, ip: origin.ip },
  );
  if (!session) throw invalidCredentials();
  return currentTokens(world, session, { tenantSlug: tenant.slug, userScopes: user.scopes });
}
