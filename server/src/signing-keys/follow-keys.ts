import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Secrets } from '../crypto/secrets.ts';
import { importPublicKey, type KeySet, openSigningKey, type SigningKeys } from '../crypto/signing-keys.ts';
import type { Database } from '../database/database.ts';
import { readKeys, type StoredKey } from './store.ts';

interface World {
  db: Database;
  secrets: Secrets;
  log: FastifyBaseLogger;
}

/** How often keys are read; how old they may be where that fails; how soon they are read again for an unknown one. */
const usualPace = { pollMs: 2_000, freshMs: 30_000, againMs: 1_000 };

/**
 * Reads the keys, then follows their changes by polling, as revocations are followed: how old what we know is can then be
 * measured, and a removed key ends within seconds, or, on a node that cannot read them, when it is half a minute behind.
 */
export async function followSigningKeys(
  { db, secrets, log }: World,
  { pollMs, freshMs, againMs } = usualPace,
): Promise<SigningKeys & { stop: () => void }> {
  let latest: KeySet | undefined;
  let readAs = '';
  let goodAt = Number.NEGATIVE_INFINITY;
  let failing = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const read = async (): Promise<KeySet> => {
    const startedAt = performance.now();
    const stored = await readKeys(db);
    const version = stored.map(({ kid, state }) => `${kid} ${state}`).join();
    const keys = latest && version === readAs ? latest : await openKeys(secrets, stored);
    // One that began before what we know must not bring back what has changed since.
    if (latest && startedAt < goodAt) return latest;
    if (latest && latest.current.kid !== keys.current.kid) log.info(`the key ${keys.current.kid} signs from now on`);
    latest = keys;
    readAs = version;
    goodAt = startedAt;
    return keys;
  };
  const poll = async () => {
    try {
      await read();
      if (failing) log.info('signing keys are followed again');
      failing = false;
    } catch (error) {
      if (!failing && !stopped) log.error({ err: error }, 'signing keys cannot be read');
      failing = true;
    }
    if (!stopped) timer = setTimeout(poll, pollMs).unref();
  };

  let again: Promise<KeySet> | undefined;
  let againAt = Number.NEGATIVE_INFINITY;
  const readAgain = () => {
    again ??= (async () => {
      await sleep(Math.max(0, againAt + againMs - performance.now()));
      // Whoever asks from here on may have seen a key that this read does not.
      again = undefined;
      againAt = performance.now();
      return read();
    })();
    return again;
  };

  const first = await read();
  timer = setTimeout(poll, pollMs).unref();
  return {
    fresh: () => (latest && performance.now() - goodAt < freshMs ? latest : readAgain()),
    readAgain,
    latest: () => latest ?? first,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

async function openKeys(secrets: Secrets, stored: StoredKey[]): Promise<KeySet> {
  const current = stored.find(({ state }) => state === 'current');
  if (!current) throw new Error('There is no current signing key.');
  const publicKeys = stored.map(async ({ kid, publicJwk }) => [kid, await importPublicKey(publicJwk)] as const);
  return {
    current: { kid: current.kid, privateKey: openSigningKey(secrets, current.privateSealed) },
    publicKeys: new Map(await Promise.all(publicKeys)),
    jwks: { keys: stored.map(({ publicJwk }) => publicJwk) },
  };
}
