import type { NewSigningKey } from '../crypto/signing-keys.ts';
import type { Queryable, Transaction } from '../database/database.ts';

export interface StoredKey extends Omit<NewSigningKey, 'privateSealed'> {
  privateSealed: Uint8Array;
  state: 'next' | 'current' | 'retired';
  createdAt: Date;
  activatedAt: Date | null;
  retiredAt: Date | null;
  /** Since it was made, by the database's clock. */
  publishedSeconds: number;
  /** Since it became current. */
  activeSeconds: number | null;
}

// Any number will do, as long as every Postern uses the same.
const changingLock = 7_165_411_002;

/** Whoever changes keys waits here for whoever else does, until the end of its transaction. */
export async function lockKeys(tx: Transaction): Promise<void> {
  await tx`SELECT pg_advisory_xact_lock(${changingLock})`;
}

/** The current one, the next, then the retired ones, latest first. */
export async function readKeys(db: Queryable): Promise<StoredKey[]> {
  return db<StoredKey[]>`
    SELECT kid, public_jwk AS "publicJwk", private_sealed AS "privateSealed", state, created_at AS "createdAt",
           activated_at AS "activatedAt", retired_at AS "retiredAt",
           extract(epoch FROM clock_timestamp() - created_at)::float8 AS "publishedSeconds",
           extract(epoch FROM clock_timestamp() - activated_at)::float8 AS "activeSeconds"
    FROM signing_keys ORDER BY state = 'current' DESC, state = 'next' DESC, retired_at DESC`;
}

/** As the next one. */
export async function insertKey(tx: Transaction, { kid, publicJwk, privateSealed }: NewSigningKey): Promise<void> {
  await tx`
    INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed, created_at)
    VALUES (${kid}, ${publicJwk.alg}, ${tx.json({ ...publicJwk })}, ${privateSealed}, clock_timestamp())`;
}

export async function activateNextKey(tx: Transaction): Promise<void> {
  await tx`UPDATE signing_keys SET activated_at = clock_timestamp() WHERE state = 'next'`;
}

export async function retireCurrentKey(tx: Transaction): Promise<void> {
  await tx`UPDATE signing_keys SET retired_at = clock_timestamp() WHERE state = 'current'`;
}

export async function deleteKey(tx: Transaction, kid: string): Promise<void> {
  await tx`DELETE FROM signing_keys WHERE kid = ${kid}`;
}

/** Deletes those retired longer ago than that. */
export async function deleteRetiredKeys(tx: Transaction, seconds: number): Promise<void> {
  await tx`DELETE FROM signing_keys WHERE retired_at < now() - make_interval(secs => ${seconds})`;
}
