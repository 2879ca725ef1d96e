/**
 * API keys: long-lived secrets for back ends, each with scopes of one tenant. This folder owns the table `api_keys`:
 * making, listing and revoking keys (the command line does), and telling for a request whose key it carries. What an
 * access token is, it leaves to `sessions/`, which hands keys over by their prefix.
 *
 * A key is 256 random bits, so what is stored is one HMAC: no slow hash stands on the way of machines, and a dump of the
 * database holds nothing that can be used.
 */
import { randomBytes } from 'node:crypto';

export interface ApiKey {
  id: string;
  tenantId: string;
  /** For people, to tell keys apart. */
  name: string;
  /** How the key begins: enough to find it in a configuration, nothing to guess the rest from. */
  prefix: string;
  scopes: string[];
  createdAt: Date;
  expiresAt: Date | null;
  /** To the minute. */
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** Every scope that a call of Postern's asks for. A key is nothing to other programs, so it needs no others. */
export const keyScopes = [
  'basic',
  'email',
  'users:read',
  'users:write',
  'clients:register',
  'mail:admin',
  'admin',
] as const;

/** Distinguishes a key from an access token, and lets secret scanners find keys where they should not be. */
const keyPrefix = 'pk_';
const shownLength = keyPrefix.length + 6;

export function newKey(): string {
  return keyPrefix + randomBytes(32).toString('base64url');
}

/** The part of a key that lists show. */
export function shownPrefix(key: string): string {
  return key.slice(0, shownLength);
}

/** Whether it is written like one of ours; anything else need not be looked up. */
export function isWellFormed(key: string): boolean {
  return /^pk_[\w-]{43}$/.test(key);
}
