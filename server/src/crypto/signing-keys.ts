/**
 * The keys that sign access tokens. They are made at the first start, their private parts sealed with SECRET_KEY; every
 * node of one database signs with the same.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, importJWK } from 'jose';
import type { Database, Queryable } from '../database/database.ts';
import type { Secrets } from './secrets.ts';

/** A public key as RFC 7517 publishes it. */
export interface PublicJwk {
  kty: 'EC';
  crv: 'P-256';
  x: string;
  y: string;
  kid: string;
  alg: 'ES256';
  use: 'sig';
}

export interface SigningKeys {
  /** Signs new tokens. */
  current: { kid: string; privateKey: KeyObject };
  /** Verify tokens, by kid; of retired keys too. */
  publicKeys: ReadonlyMap<string, CryptoKey>;
  /** What `/.well-known/jwks.json` shows. */
  jwks: { keys: PublicJwk[] };
}

interface StoredKey {
  kid: string;
  publicJwk: PublicJwk;
  privateSealed: Uint8Array;
  isRetired: boolean;
}

// Nodes that start together must not each make a key. Any number will do, as long as every Postern uses the same.
const makingLock = 7_165_411_002;

/** Reads the keys; makes the first where there is none. */
export async function loadSigningKeys({ db, secrets }: { db: Database; secrets: Secrets }): Promise<SigningKeys> {
  let stored = await readKeys(db);
  if (stored.length === 0) stored = await makeFirstKey(db, secrets);
  const newest = stored.find((key) => !key.isRetired);
  if (!newest) throw new Error('Every signing key is retired; there is none to sign with.');

  const jwk = JSON.parse(secrets.open('signing-key', newest.privateSealed).toString('utf8'));
  const publicKeys = new Map<string, CryptoKey>();
  for (const { kid, publicJwk } of stored) {
    const key = await importJWK(publicJwk, 'ES256');
    if (!(key instanceof Uint8Array)) publicKeys.set(kid, key);
  }
  return {
    current: { kid: newest.kid, privateKey: createPrivateKey({ key: jwk, format: 'jwk' }) },
    publicKeys,
    jwks: { keys: stored.map((key) => key.publicJwk) },
  };
}

async function makeFirstKey(db: Database, secrets: Secrets): Promise<StoredKey[]> {
  return db.begin(async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(${makingLock})`;
    const made = await readKeys(tx);
    if (made.length > 0) return made;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { d, x, y } = privateKey.export({ format: 'jwk' });
    if (!d || !x || !y) throw new Error('A P-256 key was made without its numbers.');
    const kid = await calculateJwkThumbprint({ kty: 'EC', crv: 'P-256', x, y });
    const publicJwk: PublicJwk = { kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' };
    const privateSealed = secrets.seal('signing-key', JSON.stringify({ kty: 'EC', crv: 'P-256', x, y, d }));
    await insertKey(tx, { kid, publicJwk, privateSealed });
    return [{ kid, publicJwk, privateSealed, isRetired: false }];
  });
}

async function readKeys(db: Queryable): Promise<StoredKey[]> {
  return db<StoredKey[]>`
    SELECT kid, public_jwk AS "publicJwk", private_sealed AS "privateSealed", retired_at IS NOT NULL AS "isRetired"
    FROM signing_keys ORDER BY created_at DESC`;
}

async function insertKey(db: Queryable, key: Omit<StoredKey, 'isRetired'>): Promise<void> {
  await db`
    INSERT INTO signing_keys (kid, alg, public_jwk, private_sealed)
    VALUES (${key.kid}, 'ES256', ${db.json({ ...key.publicJwk })}, ${key.privateSealed})`;
}
