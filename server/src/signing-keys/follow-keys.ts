import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Secrets } from '../crypto/secrets.ts';
import {
  importPublicKey,
  type KeySet,
  openSigningKey,
  type SealedKey,
  type SigningKey,
  type SigningKeys,
} from '../crypto/signing-keys.ts';
import type { Database } from '../database/database.ts';
import { type Generation, readKeys } from './store.ts';

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
    const version = stored.map(({ keys, state }) => [...kidsOf(keys), state].join(' ')).join();
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

async function openKeys(secrets: Secrets, stored: Generation[]): Promise<KeySet> {
  const current = stored.find(({ state }) => state === 'current');
  if (!current) throw new Error('There is no current signing key.');
  const publicKeys = stored.map(async ({ kid, keys: [ec] }) => [kid, await importPublicKey(ec.publicJwk)] as const);
  const signing = stored.flatMap((generation) => openGeneration(secrets, generation));
  return {
    current: { kid: current.kid, privateKey: openSigningKey(secrets, current.keys[0]) },
    currentRsa: signing.find(({ alg }) => alg === 'RS256'),
    signing,
    publicKeys: new Map(await Promise.all(publicKeys)),
    jwks: { keys: stored.flatMap(({ keys }) => keys.map(({ publicJwk }) => publicJwk)) },
  };
}

function openGeneration(secrets: Secrets, { state, keys }: Generation): SigningKey[] {
  return keys.flatMap((key) => {
    const { kid, alg } = key.publicJwk;
    const privateKey = openIfPossible(secrets, key);
    return privateKey ? [{ kid, alg, state, privateKey }] : [];
  });
}

/** A retired key may be sealed under a SECRET_KEY that is gone. It signs no more, and its public half is in clear. */
function openIfPossible(secrets: Secrets, key: SealedKey): KeyObject | undefined {
  try {
    return openSigningKey(secrets, key);
  } catch {
    return undefined;
  }
}

function kidsOf(keys: SealedKey[]): string[] {
  return keys.map(({ publicJwk }) => publicJwk.kid);
}
