import type { FastifyBaseLogger } from 'fastify';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { isWellFormed } from './api-key.ts';
import { findLiveKey, type LiveKey, noteUse } from './store.ts';

/** The caller of a key, or undefined where it is unknown, expired or revoked. */
export type AuthenticateKey = (key: string) => Promise<Caller | undefined>;

interface LookUp {
  caller: Promise<Caller | undefined>;
  /** On the clock of `performance.now()`. */
  until: number;
}

// A revoked key must be dead on every node within a second, and nodes do not tell each other.
const rememberMs = 1_000;
const maxRemembered = 10_000;

/**
 * Remembers each key for a second at most, counted from before the question: the answer is as old as that. So the
 * database is asked once a second for a key in use, however many requests it makes. Unknown keys are forgotten with the
 * answer: whoever makes them up would otherwise crowd out the good ones.
 */
export function makeAuthenticateKey(world: {
  db: Database;
  secrets: Secrets;
  log: FastifyBaseLogger;
}): AuthenticateKey {
  const remembered = new Map<string, LookUp>();

  const lookUp = async (key: string, entry: LookUp, startedAt: number) => {
    const found = await findLiveKey(world.db, world.secrets.hmacs('api-key', key));
    if (!found) return undefined;
    if (found.secondsLeft !== null) entry.until = Math.min(entry.until, startedAt + found.secondsLeft * 1_000);
    if (found.isUseDue) noteInBackground(world, found);
    return toCaller(found);
  };

  return async (key) => {
    if (!isWellFormed(key)) return undefined;
    const startedAt = performance.now();
    const known = remembered.get(key);
    if (known && known.until > startedAt) return known.caller;

    // Calls that come while it is read share one read.
    const entry: LookUp = { caller: Promise.resolve(undefined), until: startedAt + rememberMs };
    entry.caller = lookUp(key, entry, startedAt);
    forgetOldest(remembered);
    remembered.set(key, entry);
    let caller: Caller | undefined;
    try {
      caller = await entry.caller;
      return caller;
    } finally {
      if (!caller && remembered.get(key) === entry) remembered.delete(key);
    }
  };
}

function toCaller({ id, tenantId, scopes }: LiveKey): Caller {
  return { kind: 'client', id, name: `key:${id}`, tenantId, scopes: new Set(scopes) };
}

/** Nobody waits for it, and a use that is not noted is noted with the next one. */
function noteInBackground({ db, log }: { db: Database; log: FastifyBaseLogger }, { id }: LiveKey): void {
  noteUse(db, id).catch((error: unknown) => log.warn({ err: error }, 'could not note the use of an API key'));
}

/** Replaced entries keep their old place in a Map's order, so the first is the one that was first seen. */
function forgetOldest(remembered: Map<string, LookUp>): void {
  const oldest = remembered.size >= maxRemembered ? remembered.keys().next().value : undefined;
  if (oldest !== undefined) remembered.delete(oldest);
}
