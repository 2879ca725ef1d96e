import type { Cache } from '../cache.ts';
import type { Secrets } from '../crypto/secrets.ts';
import { inTime } from '../in-time.ts';
import type { Redis } from './redis.ts';

/** What a request may wait for a copy: PostgreSQL would have answered long ago. */
const patienceMilliseconds = 100;
/** How long nobody may keep what was just forgotten. */
const tombstoneMilliseconds = 10_000;
/** What took longer to read is not kept: it may be older than a tombstone that is gone by now. */
const freshMilliseconds = 5_000;

/**
 * Copies in Redis. They are sealed, so whoever reads Redis learns nothing about anybody, and whoever writes there can make
 * nobody an administrator; the name is sealed in, so that a copy is good in its own place only, and the time, so that one
 * kept aside is not good later.
 *
 * A reader that was slow must not put back what has changed since: `forget` leaves a tombstone, and nothing is kept where
 * something is (SET … NX).
 */
export function redisCache({ redis, secrets }: { redis: Redis; secrets: Secrets }): Cache {
  const keyOf = (name: string) => redis.name(`cache:${name}`);
  const seal = (copy: Copy) => secrets.seal('cache', JSON.stringify(copy)).toString('base64');
  const open = (name: string, text: string): Copy | undefined => {
    try {
      const copy: Copy = JSON.parse(secrets.open('cache', Buffer.from(text, 'base64')).toString());
      return copy.name === name && copy.until > Date.now() ? copy : undefined;
    } catch {
      return undefined; // not of our making
    }
  };
  return {
    through: async (name, read) => {
      const text = await soon(redis.ask((client) => client.get(keyOf(name))));
      const kept = text ? open(name, text) : undefined;
      // Sealed by us under this name, so it is what `read` once said.
      if (kept) return kept.value as Awaited<ReturnType<typeof read>>['value'];
      const startedAt = performance.now();
      const { value, seconds } = await read();
      const age = performance.now() - startedAt;
      const left = Math.floor(seconds * 1_000 - age);
      // Nobody waits for it. Where there is a tombstone or Redis is away, nothing would come of it.
      if (text === null && value !== undefined && left > 0 && age < freshMilliseconds) {
        const copy = seal({ name, until: Date.now() + left, value });
        void redis.ask((client) =>
          client.set(keyOf(name), copy, { condition: 'NX', expiration: { type: 'PX', value: left } }),
        );
      }
      return value;
    },
    forget: async (name) => {
      const expiration = { type: 'PX', value: tombstoneMilliseconds } as const;
      await soon(redis.ask((client) => client.set(keyOf(name), '', { expiration })));
    },
  };
}

/** What is not there in time may still come, but nobody waits for it. */
async function soon<T>(answer: Promise<T>): Promise<T | undefined> {
  return inTime(answer, patienceMilliseconds).catch(() => undefined);
}

interface Copy {
  name: string;
  /** Milliseconds since 1970. */
  until: number;
  value: unknown;
}
