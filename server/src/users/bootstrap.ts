import type { Database } from '../database/database.ts';
import { insertAccount } from './create-user.ts';
import { prepareUser, type SettingPasswords } from './register.ts';
import { administratorExists } from './store.ts';

// Nodes that start together must make one administrator (S54). Any number will do, as long as all use the same.
const adminLock = 7_165_411_003;

/**
 * Makes the first administrator, verified, unless somebody holds the scope `admin`. Where the address belongs to a user
 * already, nothing is made: handing that user every right is for a person to decide.
 * @returns whether one was made
 */
export async function bootstrapAdmin(
  world: SettingPasswords & { db: Database },
  { tenantId, email, password }: { tenantId: string; email: string; password: string },
): Promise<boolean> {
  const { db } = world;
  if (await administratorExists(db)) return false;
  const prepared = await prepareUser(world, tenantId, { email, password });
  return db.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${adminLock})`;
    if (await administratorExists(tx)) return false;
    return (await insertAccount(tx, { ...prepared, scopes: ['admin'], isVerified: true })) !== undefined;
  });
}
