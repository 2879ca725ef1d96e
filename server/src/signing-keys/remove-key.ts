import { recordAudit } from '../audit/record.ts';
import { newSigningKey } from '../crypto/signing-keys.ts';
import { ensureDefaultTenant } from '../tenants/tenants.ts';
import { changeKeys, type KeyWorld } from './change-keys.ts';
import { signingKeyNotFound } from './errors.ts';
import { activateNextKey, deleteKey, insertKey } from './store.ts';

/** Kids. */
export interface Removal {
  removed: string;
  current: string;
  next: string;
}

/**
 * Deletes a key that somebody else may know: every node refuses its tokens within seconds. Where it was the current one,
 * the next one signs at once, however lately it was published.
 * @param named a kid, or `current` or `next`
 * @throws signingKeyNotFound
 */
export async function removeSigningKey(world: KeyWorld, named: string): Promise<Removal> {
  return changeKeys(world, async (tx, { current, next, all }) => {
    const key = all.find(({ kid, state }) => kid === named || (state !== 'retired' && state === named));
    if (!key) throw signingKeyNotFound({ detail: `There is no signing key "${named}".` });
    await deleteKey(tx, key.kid);
    if (key === current) await activateNextKey(tx);
    const made = key.state === 'retired' ? undefined : await newSigningKey(world.secrets);
    if (made) await insertKey(tx, made);
    const removal = {
      removed: key.kid,
      current: key === current ? next.kid : current.kid,
      next: made?.kid ?? next.kid,
    };
    const { id: tenantId } = await ensureDefaultTenant(tx);
    await recordAudit(tx, { tenantId, type: 'signing_key.removed', data: removal });
    return removal;
  });
}
