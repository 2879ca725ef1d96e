import { recordAudit } from '../audit/record.ts';
import { type NewGeneration, newGeneration } from '../crypto/signing-keys.ts';
import type { Transaction } from '../database/database.ts';
import { ensureDefaultTenant } from '../tenants/tenants.ts';
import { changeKeys, type Keys, type KeyWorld } from './change-keys.ts';
import { nextTooNew } from './errors.ts';
import { activateNextKey, insertGeneration, retireCurrentKey } from './store.ts';

/** Kids of the EC keys, by which generations are named. */
export interface Rotation {
  current: string;
  next: string;
  retired: string;
}

// Longer than any node takes to see a key, than `/.well-known/jwks.json` may be cached, and than the ten minutes for which
// libraries that verify tokens commonly keep what they read there.
export const minPublishedSeconds = 900;

/**
 * The next generation becomes the current one, and another is published.
 * @param isForced also where the next key may not be known everywhere yet; every Postern takes its tokens all the same
 * @throws nextTooNew
 */
export async function rotateSigningKeys(world: KeyWorld, { isForced }: { isForced: boolean }): Promise<Rotation> {
  const made = await newGeneration(world.secrets);
  return changeKeys(world, async (tx, keys) => {
    const { publishedSeconds } = keys.next;
    if (!isForced && publishedSeconds < minPublishedSeconds) {
      const minutes = Math.ceil((minPublishedSeconds - publishedSeconds) / 60);
      throw nextTooNew({
        detail:
          `The next signing key was published ${Math.floor(publishedSeconds)} s ago. Programs that verify tokens ` +
          `themselves know it in ${minutes} min; --now rotates at once.`,
      });
    }
    return advance(tx, keys, made);
  });
}

/** Moves each generation on by one state, in a transaction of `changeKeys`. */
export async function advance(
  tx: Transaction,
  { current: former, next: current }: Keys,
  next: NewGeneration,
): Promise<Rotation> {
  await retireCurrentKey(tx);
  await activateNextKey(tx);
  await insertGeneration(tx, next);
  const rotation = { current: current.kid, next: next[0].publicJwk.kid, retired: former.kid };
  // Signing keys belong to no tenant; whoever runs Postern looks after the default one.
  const { id: tenantId } = await ensureDefaultTenant(tx);
  await recordAudit(tx, { tenantId, type: 'signing_key.rotated', data: rotation });
  return rotation;
}
