/**
 * Tokens that are arithmetic, not rows: id (16 bytes), counter (4), HMAC over both (32), keyed by SECRET_KEY. A dump of the
 * database therefore holds none, and reuse shows as a counter that is too low.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Secrets } from './secrets.ts';

/** A kind of such tokens. */
export interface CountedTokens {
  /** What they begin with, so that people and scanners know one when they see it. */
  prefix: string;
  /** Of the HMAC. */
  purpose: string;
}

export interface Counted {
  /** UUID. */
  id: string;
  counter: number;
}

export function countedToken(secrets: Secrets, { prefix, purpose }: CountedTokens, { id, counter }: Counted): string {
  const named = nameBytes(id, counter);
  return `${prefix}${Buffer.concat([named, secrets.hmac(purpose, named.toString('hex'))]).toString('base64url')}`;
}

/** What a token of ours names, or undefined where it is none. */
export function readCountedToken(
  secrets: Secrets,
  { prefix, purpose }: CountedTokens,
  token: string,
): Counted | undefined {
  if (!token.startsWith(prefix)) return undefined;
  const encoded = token.slice(prefix.length);
  if (!/^[\w-]{70}$/.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64url');
  if (bytes.length !== 52) return undefined;
  const named = bytes.subarray(0, 20);
  const mac = bytes.subarray(20);
  const hex = named.toString('hex');
  if (!secrets.hmacs(purpose, hex).some((good) => timingSafeEqual(good, mac))) return undefined;
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
  return { id, counter: named.readUInt32BE(16) };
}

function nameBytes(id: string, counter: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.write(id.replaceAll('-', ''), 'hex');
  bytes.writeUInt32BE(counter, 16);
  return bytes;
}
