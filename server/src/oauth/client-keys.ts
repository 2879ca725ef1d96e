/** The public keys that clients have told of themselves, in their registration or at an address of theirs (`jwks_uri`). */
import type { JSONWebKeySet } from 'jose';
import type { Client } from './client.ts';

/** Reads what stands at an address that a client has given. It may reject. */
export type ReadDocument = (url: string) => Promise<{ text: string; maxAgeSeconds: number | undefined }>;

/** The keys of a client that signs with the key of that name, or undefined where it has told none that can be read. */
export type FindClientKeys = (client: Client, kid: string | undefined) => Promise<JSONWebKeySet | undefined>;

interface Remembered {
  keys: JSONWebKeySet | undefined;
  /** All on the clock of `performance.now()`. */
  freshUntil: number;
  goodUntil: number;
  tryAgainAt: number;
  reading: Promise<void> | undefined;
}

const minFreshMs = 60_000;
const usualFreshMs = 300_000;
const maxFreshMs = 3_600_000;
// A key that nobody knows, in an assertion that anybody can send, must not become a call of the client for each assertion.
const quietMs = 60_000;
const quietAfterFailureMs = 10_000;
const maxRemembered = 1_000;

/**
 * Keys at an address are remembered for as long as its Cache-Control says, from a minute to an hour, and read again for a
 * key that is not among them. While they cannot be read again, those of an hour ago at most are good.
 */
export function makeFindClientKeys({
  readDocument,
  clock = () => performance.now(),
}: {
  readDocument: ReadDocument;
  clock?: () => number;
}): FindClientKeys {
  const remembered = new Map<string, Remembered>();

  const read = async (uri: string, entry: Remembered) => {
    const startedAt = clock();
    try {
      const { text, maxAgeSeconds } = await readDocument(uri);
      const keys = readKeySet(text);
      const fresh = maxAgeSeconds === undefined ? usualFreshMs : maxAgeSeconds * 1_000;
      entry.keys = keys;
      entry.freshUntil = startedAt + Math.min(Math.max(fresh, minFreshMs), maxFreshMs);
      entry.goodUntil = startedAt + maxFreshMs;
      entry.tryAgainAt = startedAt + quietMs;
    } catch {
      // Whoever asks is told that there are no keys; why, would tell them of our network.
      entry.tryAgainAt = clock() + quietAfterFailureMs;
    }
  };

  const keysAt = async (uri: string, kid: string | undefined) => {
    const entry = remembered.get(uri) ?? newEntry();
    remembered.delete(uri);
    const oldest = remembered.size >= maxRemembered ? remembered.keys().next().value : undefined;
    if (oldest !== undefined) remembered.delete(oldest);
    remembered.set(uri, entry); // last in the Map's order: the first is the one unused for longest
    const isKnown = kid === undefined || entry.keys?.keys.some((key) => key.kid === kid);
    const now = clock();
    if (!entry.keys || now >= entry.freshUntil || !isKnown) {
      // Calls that come while they are read share one read.
      if (!entry.reading && now >= entry.tryAgainAt) {
        entry.reading = read(uri, entry).finally(() => {
          entry.reading = undefined;
        });
      }
      await entry.reading;
    }
    return clock() < entry.goodUntil ? entry.keys : undefined;
  };

  return async ({ metadata: { jwks, jwks_uri: uri } }, kid) => (uri === undefined ? jwks : keysAt(uri, kid));
}

function newEntry(): Remembered {
  return { keys: undefined, freshUntil: 0, goodUntil: 0, tryAgainAt: Number.NEGATIVE_INFINITY, reading: undefined };
}

/** @throws Error where it is no JWK Set (RFC 7517 §5) */
function readKeySet(text: string): JSONWebKeySet {
  const found: unknown = JSON.parse(text);
  if (!isKeySet(found)) throw new Error('This is no JWK Set.');
  return found;
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  if (typeof value !== 'object' || value === null || !('keys' in value) || !Array.isArray(value.keys)) return false;
  return value.keys.every((key) => typeof key === 'object' && key !== null);
}
