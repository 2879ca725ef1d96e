import type { PasswordHasher } from '../crypto/passwords.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Database } from '../database/database.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { checkPassword, type LoginName } from '../users/check-password.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { createSession } from './create-session.ts';
import type { SessionTimes, TokenWorld } from './session.ts';

export interface LoginWorld extends TokenWorld, SessionTimes {
  db: Database;
  passwords: PasswordHasher;
  registration: 'open' | 'private' | 'closed';
}

/**
 * Whatever is wrong — the name, the password, or, with REGISTRATION=private, an address not yet verified — the answer
 * and the work are the same (S1).
 * @throws invalidCredentials, busy
 */
export async function login(
  world: LoginWorld,
  { tenant, name, password, origin }: { tenant: Tenant; name: LoginName; password: string; origin: Origin },
): Promise<{ user: User; token: Token }> {
  const user = await checkPassword(world, tenant.id, name, password);
  if (!user || (world.registration === 'private' && user.emailVerifiedAt === null)) throw invalidCredentials();
  const token = await createSession(world, world.db, { user, tenant, origin });
  return { user, token };
}
