import type { Token } from '../crypto/access-tokens.ts';
import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { currentTokens, type SessionTimes, type TokenWorld } from './session.ts';
import { insertSession } from './store.ts';

/**
 * Logs a user in, in the caller's transaction.
 * @throws invalidCredentials when the user or the password is not the one that was checked any more
 */
export async function createSession(
  world: TokenWorld & SessionTimes,
  tx: Queryable,
  { user, tenant, origin }: { user: User; tenant: Tenant; origin: Origin },
): Promise<Token> {
  const { refreshTokenSeconds, sessionSeconds } = world;
  const session = await insertSession(tx, {
    id: newId(),
    tenantId: tenant.id,
    userId: user.id,
    ...origin,
    passwordHash: user.passwordHash,
    refreshTokenSeconds,
    sessionSeconds,
  });
  if (!session) throw invalidCredentials();
  return currentTokens(world, session, { tenantSlug: tenant.slug, userScopes: user.scopes });
}
