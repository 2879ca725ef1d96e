/**
 * How often something may be tried: wrong passwords, wrong codes, letters to strangers. Each limit is a bucket per key
 * (a source address, an account, the whole system) that holds `burst` tries and gets one back every `refillSeconds`.
 * Buckets are shared between nodes: in PostgreSQL, or in Redis where REDIS_URL is set. A try is counted before it is made
 * and given back when it turns out right, so that of parallel tries no more are made than the bucket held.
 *
 * This folder owns the buckets. What is limited, and what follows, is the business of who takes from them.
 */
import { createHash } from 'node:crypto';
import { gather } from '../database/gather.ts';
import { defineError, type PosternError } from '../errors.ts';

export interface Limit {
  /** Names it to callers, e.g. `limits.account`. */
  code: string;
  /** What is counted, as in "20 wrong passwords for one account". */
  what: string;
  burst: number;
  refillSeconds: number;
  /** Whether RATE_LIMITS=off lifts it. */
  isBySource?: true;
}

/** One try, and whose it is. */
export interface Use {
  limit: Limit;
  /** Within the limit: an address, an account. */
  key: string;
}

export interface Limits {
  /**
   * Refuses at once what is known here to be refused; counts nothing and asks nobody.
   * @throws as `take`
   */
  check: (uses: Use[]) => void;
  /**
   * Counts one try against each bucket, or against none where one of them is empty.
   * @returns gives the try back: it was right
   * @throws the error of the limit (429, with Retry-After), or what the store throws when it cannot be reached
   */
  take: (uses: Use[]) => Promise<() => void>;
  /** Gives a try back that was counted in another request. */
  giveBack: (uses: Use[]) => void;
}

/** What keeps the buckets. A bucket is a debt in seconds that time pays off. */
export interface LimitStore {
  /**
   * Adds to debts, each in one step whatever else goes on, and returns what they are now, in the same order.
   * @param additions of different keys; negative to take back, at most down to no debt
   */
  add: (additions: { key: string; seconds: number }[]) => Promise<number[]>;
}

/** Buckets known to be empty, at most: beyond them the store is asked. */
const maxRemembered = 10_000;

export function openLimits({ store, areSourcesLimited }: { store: LimitStore; areSourcesLimited: boolean }): Limits {
  /** Until when, on the clock of `performance.now`, a bucket is empty for certain. */
  const emptyUntil = new Map<string, number>();
  const remember = (key: string, seconds: number) => {
    const oldest = emptyUntil.size >= maxRemembered ? emptyUntil.keys().next().value : undefined;
    if (oldest !== undefined) emptyUntil.delete(oldest);
    emptyUntil.set(key, performance.now() + seconds * 1_000);
  };
  const knownWait = (key: string): number => {
    const until = emptyUntil.get(key);
    if (until === undefined) return 0;
    const seconds = (until - performance.now()) / 1_000;
    if (seconds <= 0) emptyUntil.delete(key);
    return seconds;
  };

  const addAll = gather((items: Addition[]) => addTogether(store, items), {
    writers: 2,
    maxItems: 500,
    maxSize: 500,
    sizeOf: () => 1,
  });
  const giveBack = (uses: Bucket[]) => {
    for (const { key } of uses) emptyUntil.delete(key);
    // Nobody waits for it; where it fails, the try counts as a wrong one.
    Promise.all(uses.map(({ key, limit }) => addAll({ key, seconds: -limit.refillSeconds }))).catch(() => {});
  };

  const check = (buckets: Bucket[]) => {
    for (const { limit, key } of buckets) {
      const seconds = knownWait(key);
      if (seconds > 0) throw tooMany(limit, seconds);
    }
  };
  const bucketsOf = (uses: Use[]) =>
    uses
      .filter(({ limit }) => areSourcesLimited || !limit.isBySource)
      .map(({ limit, key }) => ({ limit, key: bucketKey(limit, key) }));

  return {
    check: (uses) => check(bucketsOf(uses)),
    giveBack: (uses) => giveBack(bucketsOf(uses)),
    take: async (uses) => {
      const buckets = bucketsOf(uses);
      check(buckets);
      const debts = await Promise.all(buckets.map(({ limit, key }) => addAll({ key, seconds: limit.refillSeconds })));
      const over = buckets.findIndex(({ limit }, index) => (debts[index] ?? 0) > capacity(limit));
      const empty = buckets[over];
      if (empty === undefined) return () => giveBack(buckets);
      giveBack(buckets);
      // One of those who wait finds the next try; where many were refused at once their debts say less than that.
      const seconds = Math.min((debts[over] ?? 0) - capacity(empty.limit), empty.limit.refillSeconds);
      remember(empty.key, seconds);
      throw tooMany(empty.limit, seconds);
    },
  };
}

interface Bucket {
  limit: Limit;
  key: string;
}

interface Addition {
  key: string;
  seconds: number;
}

/** A hundredth more, for sums of fractions. */
function capacity({ burst, refillSeconds }: Limit): number {
  return (burst + 0.01) * refillSeconds;
}

/** Hashed: a name tried may be a password in the wrong field, and an address says where somebody is. */
function bucketKey({ code, what }: Limit, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([code, what, key]))
    .digest('base64url')
    .slice(0, 22);
}

/** Those of one bucket are added together, and each is told the debt as if it had come in its turn. */
async function addTogether(store: LimitStore, items: Addition[]): Promise<number[]> {
  const sums = new Map<string, number>();
  for (const { key, seconds } of items) sums.set(key, (sums.get(key) ?? 0) + seconds);
  const additions = [...sums].map(([key, seconds]) => ({ key, seconds }));
  const debts = await store.add(additions);
  const last = new Map(additions.map(({ key }, index) => [key, debts[index] ?? 0]));
  const results: number[] = [];
  for (const { key, seconds } of items.toReversed()) {
    const debt = last.get(key) ?? 0;
    results.push(debt);
    last.set(key, debt - seconds);
  }
  return results.reverse();
}

function tooMany({ code, what, burst, refillSeconds }: Limit, seconds: number): PosternError {
  const wait = Math.max(1, Math.ceil(seconds));
  return defineError(
    code,
    429,
    'Too many tries',
  )({
    detail: `${code}: ${burst} ${what}, and one more every ${refillSeconds} s. Try again in ${wait} s.`,
    retryAfterSeconds: wait,
  });
}
