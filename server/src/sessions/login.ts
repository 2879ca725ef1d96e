import type { Token } from '../crypto/schemas.ts';
import type { Database } from '../database/database.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { type CheckingPasswords, checkPassword, type LoginName } from '../users/check-password.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { createSessionAmongOthers, type InsertSession } from './create-session.ts';
import type { SessionTimes, TokenWorld } from './session.ts';
import { orRefusal, unlessFactorOwed } from './sign-in.ts';

export interface LoginWorld extends TokenWorld, SessionTimes, CheckingPasswords {
  db: Database;
  insertSession: InsertSession;
  registration: 'open' | 'private' | 'closed';
}

/**
 * Whatever is wrong — the name, the password, or, with REGISTRATION=private, an address not yet verified — the answer
 * and the work are the same (S1).
 * @throws invalidCredentials, secondFactorRequired, the error of a limit, busy
 */
export async function login(
  world: LoginWorld,
  { tenant, name, password, origin }: { tenant: Tenant; name: LoginName; password: string; origin: Origin },
): Promise<{ user: User; token: Token }> {
  const user = await findLogin(world, { tenant, name, password, origin });
  const opening = { user, tenant, origin, methods: ['pwd'] } as const;
  const opened = await unlessFactorOwed(world, world.db, opening, () => createSessionAmongOthers(world, opening));
  return { user, token: orRefusal(opened) };
}

/**
 * Who logs in by name and password, for whatever kind of session.
 * @throws invalidCredentials, the error of a limit, busy
 */
export async function findLogin(
  world: Pick<LoginWorld, 'registration' | keyof CheckingPasswords>,
  { tenant, name, password, origin }: { tenant: Tenant; name: LoginName; password: string; origin: Origin },
): Promise<User> {
  const user = await checkPassword(world, { tenantId: tenant.id, name, password, ip: origin.ip });
  if (!user || (world.registration === 'private' && user.emailVerifiedAt === null)) throw invalidCredentials();
  return user;
}
