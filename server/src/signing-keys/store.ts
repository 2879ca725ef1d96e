import type { EcPublicJwk, KeyState, NewGeneration, RsaPublicJwk, SealedKey } from '../crypto/signing-keys.ts';
import type { Queryable, Transaction } from '../database/database.ts';

/** Keys that come and go together. */
export interface Generation {
  /** Of the EC key, and the generation's name. */
  kid: string;
  /** EC, then RSA; EC alone where a version that knew of no other has made it. */
  keys: [SealedKey<EcPublicJwk>, ...SealedKey<RsaPublicJwk>[]];
  state: KeyState;
  createdAt: Date;
  activatedAt: Date | null;
  retiredAt: Date | null;
  /** Since it was made, by the database's clock. */
  publishedSeconds: number;
  /** Since it became current. */
  activeSeconds: number | null;
}

interface Row extends Omit<Generation, 'keys'> {
  publicJwk: EcPublicJwk;
  privateSealed: Uint8Array;
  rsaPublicJwk: RsaPublicJwk | null;
  rsaPrivateSealed: Uint8Array | null;
}

// Any number will do, as long as every Postern uses the same.
const changingLock = 7_165_411_002;

/** Whoever changes keys waits here for whoever else does, until the end of its transaction. */
export async function lockKeys(tx: Transaction): Promise<void> {
  await tx`SELECT pg_advisory_xact_lock(${changingLock})`;
}

/** The current one, the next, then the retired ones, latest first. */
export async function readKeys(db: Queryable): Promise<Generation[]> {
  const rows = await db<Row[]>`
    SELECT kid, public_jwk AS "publicJwk", private_sealed AS "privateSealed",
           rsa_public_jwk AS "rsaPublicJwk", rsa_private_sealed AS "rsaPrivateSealed",
           state, created_at AS "createdAt", activated_at AS "activatedAt", retired_at AS "retiredAt",
           extract(epoch FROM clock_timestamp() - created_at)::float8 AS "publishedSeconds",
           extract(epoch FROM clock_timestamp() - activated_at)::float8 AS "activeSeconds"
    FROM signing_keys ORDER BY state = 'current' DESC, state = 'next' DESC, retired_at DESC`;
  return rows.map(({ publicJwk, privateSealed, rsaPublicJwk, rsaPrivateSealed, ...generation }) => ({
    ...generation,
    keys: [
      { publicJwk, privateSealed },
      ...(rsaPublicJwk && rsaPrivateSealed ? [{ publicJwk: rsaPublicJwk, privateSealed: rsaPrivateSealed }] : []),
    ],
  }));
}

/** As the next one. */
export async function insertGeneration(tx: Transaction, [ec, rsa]: NewGeneration): Promise<void> {
  const { kid, alg } = ec.publicJwk;
  await tx`
    INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed, rsa_public_jwk, rsa_private_sealed, created_at)
    VALUES (${kid}, ${alg}, ${tx.json({ ...ec.publicJwk })}, ${ec.privateSealed},
            ${tx.json({ ...rsa.publicJwk })}, ${rsa.privateSealed}, clock_timestamp())`;
}

/** Where it has none yet. */
export async function addRsaKey(tx: Transaction, kid: string, rsa: SealedKey<RsaPublicJwk>): Promise<void> {
  await tx`
    UPDATE signing_keys SET rsa_public_jwk = ${tx.json({ ...rsa.publicJwk })}, rsa_private_sealed = ${rsa.privateSealed}
    WHERE kid = ${kid} AND rsa_public_jwk IS NULL`;
}

export async function activateNextKey(tx: Transaction): Promise<void> {
  await tx`UPDATE signing_keys SET activated_at = clock_timestamp() WHERE state = 'next'`;
}

export async function retireCurrentKey(tx: Transaction): Promise<void> {
  await tx`UPDATE signing_keys SET retired_at = clock_timestamp() WHERE state = 'current'`;
}

export async function deleteGeneration(tx: Transaction, kid: string): Promise<void> {
  await tx`DELETE FROM signing_keys WHERE kid = ${kid}`;
}

/** Deletes those retired longer ago than that. */
export async function deleteRetiredKeys(tx: Transaction, seconds: number): Promise<void> {
  await tx`DELETE FROM signing_keys WHERE retired_at < now() - make_interval(secs => ${seconds})`;
}
