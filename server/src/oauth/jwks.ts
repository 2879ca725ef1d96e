/** The keys that a client signs with, as a JWK Set (RFC 7517). */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { JSONWebKeySet, JWK } from 'jose';

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const curves = ['P-256', 'P-384', 'P-521', 'Ed25519'];

/**
 * Reads the public keys. Of each is kept what makes the key, and `kid`, `use` and `alg`.
 * @throws Error whose message completes "… jwks"
 */
export function readJwks(value: unknown): JSONWebKeySet {
  const keys = isObject(value) ? value.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > 20) {
    throw new Error('must be {"keys": […]} with 1 to 20 keys');
  }
  const read = keys.map((key, i) => readKey(key, `key ${i}`));
  if (read.every(({ use }) => use === 'enc')) throw new Error('must hold a key that signs');
  return { keys: read };
}

function readKey(jwk: unknown, what: string): JWK {
  if (!isObject(jwk)) throw new Error(`must hold objects; ${what} is none`);
  const secret = privateMembers.find((member) => Object.hasOwn(jwk, member));
  if (secret !== undefined) {
    throw new Error(
      `must hold public keys alone; ${what} has the private member "${secret}": it is no secret any more`,
    );
  }
  return { ...publicPart(jwk, what), ...textMember(jwk, 'kid'), ...textMember(jwk, 'use'), ...textMember(jwk, 'alg') };
}

/** As Node.js writes it: one that cannot be read is told now, and not when somebody signs with it. */
function publicPart(jwk: JsonWebKey, what: string): JWK {
  let key: ReturnType<typeof createPublicKey>;
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new Error(`must hold keys of RSA, EC or OKP; ${what} cannot be read as one`);
  }
  const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
  const isGood = kty === 'RSA' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2_048 : curves.includes(crv ?? '');
  if (!isGood) throw new Error(`must hold RSA of 2048 bits and more, or ${curves.join(', ')}; ${what} is neither`);
  return Object.fromEntries(Object.entries({ kty, crv, x, y, n, e }).filter(([, part]) => part !== undefined));
}

function textMember(jwk: Record<string, unknown>, name: string): { [name: string]: string } {
  const value = jwk[name];
  if (value === undefined) return {};
  if (typeof value !== 'string' || !/^[\x20-\x7e]{1,256}$/.test(value)) {
    throw new Error(`must have printable ASCII for "${name}"`);
  }
  return { [name]: value };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
