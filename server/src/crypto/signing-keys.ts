/** The keys that sign access tokens: how one is made and opened. When each signs is decided in `signing-keys/`. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type CryptoKey, calculateJwkThumbprint, importJWK } from 'jose';
import type { Secrets } from './secrets.ts';

/** A public key as RFC 7517 publishes it. */
export interface PublicJwk {
  kty: 'EC';
  crv: 'P-256';
  x: string;
  y: string;
  /** Thumbprint of the key (RFC 7638). */
  kid: string;
  alg: 'ES256';
  use: 'sig';
}

/** The keys of one moment. */
export interface KeySet {
  /** Signs new tokens. */
  current: { kid: string; privateKey: KeyObject };
  /** Verify tokens, by kid: the next key and retired ones too. */
  publicKeys: ReadonlyMap<string, CryptoKey>;
  /** What `/.well-known/jwks.json` shows. */
  jwks: { keys: PublicJwk[] };
}

/** The keys as they come and go. */
export interface SigningKeys {
  /**
   * Those of half a minute ago at most.
   * @throws Error when they are older and the database cannot be read
   */
  fresh: () => KeySet | Promise<KeySet>;
  /**
   * Those read after this call, for a token whose key is not known. Calls share a read, so that it happens once a second
   * at most, whatever is sent to us.
   * @throws Error when the database cannot be read
   */
  readAgain: () => Promise<KeySet>;
  /** Those read last, however long ago. */
  latest: () => KeySet;
}

export interface NewSigningKey {
  kid: string;
  publicJwk: PublicJwk;
  privateSealed: Buffer;
}

const sealPurpose = 'signing-key';

export async function newSigningKey(secrets: Secrets): Promise<NewSigningKey> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { d, x, y } = privateKey.export({ format: 'jwk' });
  if (!d || !x || !y) throw new Error('A P-256 key was made without its numbers.');
  const kid = await calculateJwkThumbprint({ kty: 'EC', crv: 'P-256', x, y });
  return {
    kid,
    publicJwk: { kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' },
    privateSealed: secrets.seal(sealPurpose, JSON.stringify({ kty: 'EC', crv: 'P-256', x, y, d })),
  };
}

/** @throws Error when SECRET_KEY does not open it */
export function openSigningKey(secrets: Secrets, privateSealed: Uint8Array): KeyObject {
  const jwk = JSON.parse(secrets.open(sealPurpose, privateSealed).toString('utf8'));
  return createPrivateKey({ key: jwk, format: 'jwk' });
}

export async function importPublicKey(publicJwk: PublicJwk): Promise<CryptoKey> {
  const key = await importJWK(publicJwk, 'ES256');
  if (key instanceof Uint8Array) throw new Error(`The signing key ${publicJwk.kid} is no public key.`);
  return key;
}

/** Whether it can be the kid of a key of ours: whatever else is not worth a look into the database. */
export function isKid(kid: unknown): kid is string {
  return typeof kid === 'string' && /^[\w-]{43}$/.test(kid);
}
