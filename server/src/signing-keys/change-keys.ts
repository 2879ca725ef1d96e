/**
 * Signing keys: which key signs access tokens, and when. This folder owns the table `signing_keys`; how tokens are signed
 * and verified is told in `crypto/`.
 *
 * There is always a `current` key, which signs, and a `next` one, which is published already, so that everyone who
 * verifies tokens knows it before it signs. A `retired` key is published for as long as a token signed by it can live.
 */
import type { Secrets } from '../crypto/secrets.ts';
import { newSigningKey, openSigningKey } from '../crypto/signing-keys.ts';
import type { Database, Transaction } from '../database/database.ts';
import { activateNextKey, insertKey, lockKeys, readKeys, type StoredKey } from './store.ts';

export interface KeyWorld {
  db: Database;
  secrets: Secrets;
}

export interface Keys {
  current: StoredKey;
  next: StoredKey;
  /** These two and the retired ones. */
  all: StoredKey[];
}

/**
 * Changes the keys in a transaction, one change at a time over all nodes. Whichever of the two is missing is made before.
 * @throws Error when SECRET_KEY does not open the keys that are there: those made with it would be useless to other nodes
 */
export async function changeKeys<T>(
  { db, secrets }: KeyWorld,
  change: (tx: Transaction, keys: Keys) => Promise<T>,
): Promise<T> {
  return db.begin(async (tx) => {
    await lockKeys(tx);
    let all = await readKeys(tx);
    for (const { state, privateSealed } of all) if (state !== 'retired') openSigningKey(secrets, privateSealed);
    while (!all.some(isCurrent) || !all.some(isNext)) {
      if (all.some(isNext)) await activateNextKey(tx);
      else await insertKey(tx, await newSigningKey(secrets));
      all = await readKeys(tx);
    }
    const current = all.find(isCurrent);
    const next = all.find(isNext);
    if (!current || !next) throw new Error('Signing keys were made and are not there.');
    return change(tx, { current, next, all });
  }) as Promise<T>;
}

function isCurrent({ state }: StoredKey): boolean {
  return state === 'current';
}

function isNext({ state }: StoredKey): boolean {
  return state === 'next';
}
