/**
 * Signing keys: which key signs tokens, and when. This folder owns the table `signing_keys`; how tokens are signed and
 * verified is told in `crypto/`. Keys come and go by generations of an EC and an RSA key.
 *
 * There is always a `current` generation, which signs, and a `next` one, which is published already, so that everyone who
 * verifies tokens knows it before it signs. A `retired` one is published for as long as a token signed by it can live.
 */
import type { Secrets } from '../crypto/secrets.ts';
import { newEcKey, newRsaKey, openSigningKey } from '../crypto/signing-keys.ts';
import type { Database, Transaction } from '../database/database.ts';
import { activateNextKey, addRsaKey, type Generation, insertGeneration, lockKeys, readKeys } from './store.ts';

export interface KeyWorld {
  db: Database;
  secrets: Secrets;
}

export interface Keys {
  current: Generation;
  next: Generation;
  /** These two and the retired ones. */
  all: Generation[];
}

/**
 * Changes the keys in a transaction, one change at a time over all nodes. Whatever is missing is made before: the current
 * generation, the next, and the RSA key of either that an older version has made. Whoever needs further keys makes them
 * before calling, so that nobody waits for the lock meanwhile.
 * @throws Error when SECRET_KEY does not open the keys that are there: those made with it would be useless to other nodes
 */
export async function changeKeys<T>(
  { db, secrets }: KeyWorld,
  change: (tx: Transaction, keys: Keys) => Promise<T>,
): Promise<T> {
  const missing = countMissing(await readKeys(db));
  const spare = await Promise.all(Array.from({ length: missing }, () => newRsaKey(secrets)));
  return db.begin(async (tx) => {
    await lockKeys(tx);
    // There is no spare one only where somebody else has changed the keys since we looked.
    const rsaKey = async () => spare.pop() ?? newRsaKey(secrets);
    let all = await readKeys(tx);
    for (const { state, keys } of all) if (state !== 'retired') for (const key of keys) openSigningKey(secrets, key);
    while (countMissing(all) > 0) {
      const lacking = all.find(lacksRsaKey);
      if (lacking) await addRsaKey(tx, lacking.kid, await rsaKey());
      else if (all.some(isNext)) await activateNextKey(tx);
      else await insertGeneration(tx, [await newEcKey(secrets), await rsaKey()]);
      all = await readKeys(tx);
    }
    const current = all.find(isCurrent);
    const next = all.find(isNext);
    if (!current || !next) throw new Error('Signing keys were made and are not there.');
    return change(tx, { current, next, all });
  }) as Promise<T>;
}

/** How many RSA keys have to be made, until there is a current and a next generation and each has one. */
function countMissing(all: Generation[]): number {
  return all.filter(lacksRsaKey).length + (all.some(isCurrent) ? 0 : 1) + (all.some(isNext) ? 0 : 1);
}

function lacksRsaKey({ state, keys: [, rsa] }: Generation): boolean {
  return state !== 'retired' && !rsa;
}

function isCurrent({ state }: Generation): boolean {
  return state === 'current';
}

function isNext({ state }: Generation): boolean {
  return state === 'next';
}
