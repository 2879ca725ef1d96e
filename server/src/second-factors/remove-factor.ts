import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { userNotFound } from '../users/errors.ts';
import { lockUser } from '../users/store.ts';
import type { User } from '../users/user.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import { tell } from './add-factor.ts';
import { factorNotFound } from './errors.ts';
import { requireRecent } from './recent.ts';
import { countFactors, removeFactor, removeFactors } from './store.ts';

export interface RemoveWorld extends LetterWorld {
  db: Database;
  wakeWorkers: () => void;
}

/**
 * Removes one of the caller's. With the last one go the recovery codes.
 * @throws factorNotFound, stepUpRequired
 */
export async function removeOwnFactor(world: RemoveWorld, caller: Caller, id: string): Promise<void> {
  await world.db.begin(async (tx) => {
    const user = await lockUser(tx, caller.id);
    if (!user) throw userNotFound();
    requireRecent(caller, user);
    if (!(await removeFactor(tx, user.id, id))) throw factorNotFound();
    await written(world, tx, user, caller, { id });
  });
  world.wakeWorkers();
}

/** Removes all of a user's, for who has lost every one and the recovery codes too; returns how many there were. */
export async function removeAllFactors(world: RemoveWorld, { id }: User, caller: Caller): Promise<number> {
  const removed = await world.db.begin(async (tx) => {
    const user = await lockUser(tx, id);
    if (!user) throw userNotFound();
    const factors = await removeFactors(tx, id);
    if (factors > 0) await written(world, tx, user, caller, { factors });
    return factors;
  });
  world.wakeWorkers();
  return removed;
}

async function written(
  world: RemoveWorld,
  tx: Parameters<typeof countFactors>[0] & Parameters<typeof tell>[1],
  user: User,
  { name: actor }: Caller,
  data: { id: string } | { factors: number },
): Promise<void> {
  await countFactors(tx, user.id);
  const { tenantId, id: userId } = user;
  await recordAudit(tx, { tenantId, type: 'second_factor.removed', actor, userId, data });
  await tell(world, tx, user, 'postern.second_factor_removed');
}
