/** When to try again, and for how long: pure functions. */

/** Seconds after the first, second … failed try, as Standard Webhooks suggests: three days and three hours in all. */
export const standardSchedule: readonly number[] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/** The longest that an endpoint may ask us to wait. */
const longestWaitSeconds = 86_400;

/**
 * Seconds until the next try, or null where there is none: up to a tenth more than the schedule says, so that what failed
 * together does not come back together.
 * @param attempts tries that failed, this one included
 * @param retryAfterSeconds what the endpoint asked for
 */
export function nextTryIn(
  attempts: number,
  {
    schedule = standardSchedule,
    retryAfterSeconds,
    random,
  }: {
    schedule?: readonly number[];
    retryAfterSeconds: number | null;
    random: number;
  },
): number | null {
  const base = schedule[attempts - 1];
  if (base === undefined) return null;
  return Math.max(base * (1 + random / 10), retryAfterSeconds ?? 0);
}

/** The header `Retry-After` (RFC 9110, 10.2.3) in seconds, or null where there is none that can be read. */
export function readRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
  return Number.isNaN(seconds) ? null : Math.min(Math.max(0, seconds), longestWaitSeconds);
}
