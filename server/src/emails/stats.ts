import type { Queryable } from '../database/database.ts';
import { invalidRequest } from '../http/problem.ts';
import { findCounts } from './counters.ts';

export type Interval = 'hour' | 'day';

/** What is counted, in the order it is shown. */
export const countedStatuses = [
  'queued',
  'sent',
  'delivered',
  'deferred',
  'bounced',
  'failed',
  'expired',
  'canceled',
  'suppressed',
  'complained',
  'uncertain',
] as const;
export type CountedStatus = (typeof countedStatuses)[number];
export type Bucket = { at: string } & Record<CountedStatus, number>;

const hour = 3_600_000;
const lengths = { hour, day: 24 * hour };
/** 31 days of hours, 400 days. */
const maxBuckets = { hour: 744, day: 400 };
const defaultBuckets = { hour: 24, day: 30 };

export interface Stats {
  interval: Interval;
  from: string;
  to: string;
  data: Bucket[];
}

/**
 * A tenant's counts by hour or day (UTC), also where there is nothing to count. The span is widened to whole hours or
 * days and ends now by default.
 * @throws invalidRequest
 */
export async function readStats(
  db: Queryable,
  tenantId: string,
  { interval = 'day', ...given }: { interval?: Interval; from?: string; to?: string },
): Promise<Stats> {
  const { from, to } = spanOf(interval, given);
  const buckets = new Map<number, Bucket>();
  for (let at = from; at < to; at += lengths[interval]) buckets.set(at, emptyBucket(at));
  for (const { at, type, count } of await findCounts(db, tenantId, {
    interval,
    from: new Date(from),
    to: new Date(to),
  })) {
    const bucket = buckets.get(at.getTime());
    if (bucket && isCounted(type)) bucket[type] = count;
  }
  return { interval, from: new Date(from).toISOString(), to: new Date(to).toISOString(), data: [...buckets.values()] };
}

/** In milliseconds; days and hours of UTC are all of one length. */
function spanOf(interval: Interval, given: { from?: string; to?: string }): { from: number; to: number } {
  const length = lengths[interval];
  const to = Math.ceil((instant('to', given.to) ?? Date.now()) / length) * length;
  const from = Math.floor((instant('from', given.from) ?? to - defaultBuckets[interval] * length) / length) * length;
  if (from >= to) throw fault('from', 'is not before to');
  const count = (to - from) / length;
  if (count > maxBuckets[interval]) {
    throw fault('from', `and to may be ${maxBuckets[interval]} ${interval}s apart, not ${count}`);
  }
  return { from, to };
}

function instant(path: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const milliseconds = Date.parse(text);
  // What lies beyond has another form, in which nothing was ever counted.
  if (!(milliseconds >= 0 && milliseconds < Date.UTC(9999, 0))) {
    throw fault(path, 'must be an RFC 3339 instant with offset, e.g. 2030-01-31T09:00:00Z');
  }
  return milliseconds;
}

function emptyBucket(at: number): Bucket {
  const zeros = Object.fromEntries(countedStatuses.map((status) => [status, 0])) as Record<CountedStatus, number>;
  return { at: new Date(at).toISOString(), ...zeros };
}

function isCounted(type: string): type is CountedStatus {
  return (countedStatuses as readonly string[]).includes(type);
}

function fault(path: string, message: string) {
  return invalidRequest({ detail: `In the query: ${path} ${message}.`, errors: [{ path, message }] });
}
