/**
 * The keys that sign tokens: how one is made and opened. When each signs is decided in `signing-keys/`. There are always
 * two together, a generation: access tokens are signed ES256 and in no other way; ID tokens RS256, which every OpenID
 * client knows (OpenID Connect Core §15.1), or ES256 where a client asks for it.
 */
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { type CryptoKey, calculateJwkThumbprint, importJWK } from 'jose';
import type { Secrets } from './secrets.ts';

/** A public key as RFC 7517 publishes it. */
export type PublicJwk = EcPublicJwk | RsaPublicJwk;

export interface EcPublicJwk {
  kty: 'EC';
  crv: 'P-256';
  x: string;
  y: string;
  /** Thumbprint of the key (RFC 7638). */
  kid: string;
  alg: 'ES256';
  use: 'sig';
}

export interface RsaPublicJwk {
  kty: 'RSA';
  n: string;
  e: string;
  /** Thumbprint of the key (RFC 7638). */
  kid: string;
  alg: 'RS256';
  use: 'sig';
}

/** Published already; signs; published still. */
export type KeyState = 'next' | 'current' | 'retired';

/** A published key with its private half. */
export interface SigningKey {
  kid: string;
  alg: PublicJwk['alg'];
  state: KeyState;
  privateKey: KeyObject;
}

/** The keys of one moment. */
export interface KeySet {
  /** Signs new access tokens. */
  current: { kid: string; privateKey: KeyObject };
  /**
   * Signs new ID tokens: the first RSA key of `signing`. That is the current generation's, unless an older version beside
   * this one has made it, without one. Undefined where no generation has one. `keepSigningKeys` ends both.
   */
  currentRsa: { kid: string; privateKey: KeyObject } | undefined;
  /** All that are published and that SECRET_KEY opens: those of the current generation, of the next, and retired ones. */
  signing: SigningKey[];
  /** Verify access tokens, by kid: the next key and retired ones too, and none of RSA. */
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

/** As it is stored. */
export interface SealedKey<Jwk extends PublicJwk = PublicJwk> {
  publicJwk: Jwk;
  privateSealed: Uint8Array;
}

/** Keys that come and go together: EC, then RSA. */
export type NewGeneration = [SealedKey<EcPublicJwk>, SealedKey<RsaPublicJwk>];

const sealPurposes = { ES256: 'signing-key', RS256: 'rsa-signing-key' };
const generate = promisify(generateKeyPair);

export async function newGeneration(secrets: Secrets): Promise<NewGeneration> {
  return Promise.all([newEcKey(secrets), newRsaKey(secrets)]);
}

export async function newEcKey(secrets: Secrets): Promise<SealedKey<EcPublicJwk>> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
  const { x, y } = privateKey.export({ format: 'jwk' });
  if (!x || !y) throw new Error('A P-256 key was made without its numbers.');
  const kid = await calculateJwkThumbprint({ kty: 'EC', crv: 'P-256', x, y });
  const publicJwk = { kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' } as const;
  return { publicJwk, privateSealed: seal(secrets, publicJwk, privateKey) };
}

/** Takes 50 ms, now and then three times as long, on Node's pool. */
export async function newRsaKey(secrets: Secrets): Promise<SealedKey<RsaPublicJwk>> {
  const { privateKey } = await generate('rsa', { modulusLength: 2048 });
  const { n, e } = privateKey.export({ format: 'jwk' });
  if (!n || !e) throw new Error('An RSA key was made without its numbers.');
  const kid = await calculateJwkThumbprint({ kty: 'RSA', n, e });
  const publicJwk = { kty: 'RSA', n, e, kid, alg: 'RS256', use: 'sig' } as const;
  return { publicJwk, privateSealed: seal(secrets, publicJwk, privateKey) };
}

function seal(secrets: Secrets, { alg }: PublicJwk, privateKey: KeyObject): Buffer {
  return secrets.seal(sealPurposes[alg], JSON.stringify(privateKey.export({ format: 'jwk' })));
}

/** @throws Error when SECRET_KEY does not open it */
export function openSigningKey(secrets: Secrets, { publicJwk, privateSealed }: SealedKey): KeyObject {
  const jwk = JSON.parse(secrets.open(sealPurposes[publicJwk.alg], privateSealed).toString('utf8'));
  return createPrivateKey({ key: jwk, format: 'jwk' });
}

export async function importPublicKey(publicJwk: EcPublicJwk): Promise<CryptoKey> {
  const key = await importJWK(publicJwk, publicJwk.alg);
  if (key instanceof Uint8Array) throw new Error(`The signing key ${publicJwk.kid} is no public key.`);
  return key;
}

/** Whether it can be the kid of a key of ours: whatever else is not worth a look into the database. */
export function isKid(kid: unknown): kid is string {
  return typeof kid === 'string' && /^[\w-]{43}$/.test(kid);
}
