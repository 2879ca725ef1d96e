import { recordAudit } from '../audit/record.ts';
import { newGeneration } from '../crypto/signing-keys.ts';
import { ensureDefaultTenant } from '../tenants/tenants.ts';
import { changeKeys, type KeyWorld } from './change-keys.ts';
import { signingKeyNotFound } from './errors.ts';
import { activateNextKey, deleteGeneration, insertGeneration } from './store.ts';

/** Kids of the EC keys, by which generations are named, and of the RSA key that went as well, where there was one. */
export interface Removal {
  removed: string;
  removed_rsa?: string;
  current: string;
  next: string;
}

/**
 * Deletes a key that somebody else may know, and the other of its generation: every node refuses their tokens within
 * seconds. Where it was the current one, the next one signs at once, however lately it was published.
 * @param named a kid, of EC or RSA, or `current` or `next`
 * @throws signingKeyNotFound
 */
export async function removeSigningKey(world: KeyWorld, named: string): Promise<Removal> {
  const made = await newGeneration(world.secrets);
  return changeKeys(world, async (tx, { current, next, all }) => {
    const removed =
      all.find(({ keys }) => keys.some(({ publicJwk }) => publicJwk.kid === named)) ??
      all.find(({ state }) => state !== 'retired' && state === named);
    if (!removed) throw signingKeyNotFound({ detail: `There is no signing key "${named}".` });
    const [, rsa] = removed.keys;
    const isReplaced = removed.state !== 'retired';
    await deleteGeneration(tx, removed.kid);
    if (removed === current) await activateNextKey(tx);
    if (isReplaced) await insertGeneration(tx, made);
    const removal = {
      removed: removed.kid,
      ...(rsa && { removed_rsa: rsa.publicJwk.kid }),
      current: removed === current ? next.kid : current.kid,
      next: isReplaced ? made[0].publicJwk.kid : next.kid,
    };
    const { id: tenantId } = await ensureDefaultTenant(tx);
    await recordAudit(tx, { tenantId, type: 'signing_key.removed', data: removal });
    return removal;
  });
}
