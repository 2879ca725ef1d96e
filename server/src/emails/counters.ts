/**
 * SQL of the table `email_counters`: what became of recipients, by tenant and hour. Whatever statement writes events of
 * letters counts them too, so that the counters say what the history says and asking them reads no history.
 */
import type { Database, Queryable } from '../database/database.ts';
import type { EmailStatus } from './email.ts';

/** Concurrent writers of one tenant and hour are spread over as many rows. */
const shards = 8;

/**
 * SQL: counts recipients. Each row is written once a statement, in the order of the key. The shard is the connection's
 * own, not a random one, so that a transaction that counts twice holds the same rows both times: no cycle of waits.
 * @param rows a query for tenant_id, at, type (a status), one row for each recipient
 */
export function countRecipients(rows: string): string {
  return `INSERT INTO email_counters AS counter (tenant_id, hour, type, shard, count)
          SELECT tenant_id, date_trunc('hour', at, 'UTC'), type, pg_backend_pid() % ${shards}, count(*)
          FROM (${rows}) AS counted
          GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
          ON CONFLICT (tenant_id, hour, type, shard) DO UPDATE SET count = counter.count + excluded.count`;
}

export interface Count {
  /** Begin of the hour or day (UTC). */
  at: Date;
  type: EmailStatus;
  count: number;
}

/** Counts from `from` (inclusive) to `to` (exclusive), by hour or day, where there are any. */
export async function findCounts(
  db: Queryable,
  tenantId: string,
  { interval, from, to }: { interval: 'hour' | 'day'; from: Date; to: Date },
): Promise<Count[]> {
  return db<Count[]>`
    SELECT date_trunc(${interval}, hour, 'UTC') AS at, type, sum(count)::float8 AS count
    FROM email_counters
    WHERE tenant_id = ${tenantId} AND hour >= ${from} AND hour < ${to}
    GROUP BY 1, 2`;
}

/** Folds the shards of hours that are over into one row each. A late outcome may open one again; the next round folds it. */
export async function foldCounters(db: Database): Promise<void> {
  await db`
    WITH folded AS (
      DELETE FROM email_counters WHERE shard > 0 AND hour < now() - interval '3 hours'
      RETURNING tenant_id, hour, type, count
    )
    INSERT INTO email_counters AS counter (tenant_id, hour, type, shard, count)
    SELECT tenant_id, hour, type, 0, sum(count) FROM folded
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant_id, hour, type, shard) DO UPDATE SET count = counter.count + excluded.count`;
}
