/** What housekeeping does about webhooks. */
import { type Database, isLockTimeout, type Transaction } from '../database/database.ts';

const retentionDays = 30;

/** Drops the months of history that lie wholly before the last 30 days, and what waits for an endpoint that is none any more. */
export async function purgeWebhookHistory(db: Database): Promise<void> {
  await endStrays(db);
  for (const month of await pastMonths(db)) {
    try {
      await db.begin((tx) => dropMonth(tx, month));
    } catch (error) {
      // Somebody reads it just now; in an hour is early enough.
      if (!isLockTimeout(error)) throw error;
    }
  }
}

/** As the names of partitions end, e.g. `2026_08`. */
async function pastMonths(db: Database): Promise<string[]> {
  const rows = await db<{ month: string }[]>`
    SELECT right(c.relname, 7) AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([0-9a-f-]{36})''\\)') AS bound
    WHERE i.inhparent = 'webhook_deliveries'::regclass
      AND bound[1]::uuid <= uuid7_floor(now() - make_interval(days => ${retentionDays}))
      -- One that create_partitions would make again at once is left for another month.
      AND right(c.relname, 7) < to_char((now() AT TIME ZONE 'UTC') - interval '1 month', 'YYYY_MM')
    ORDER BY 1`;
  return rows.map(({ month }) => month);
}

/** Whoever waits for the lock makes others wait behind it, so it waits less than PostgreSQL's deadlock check. */
async function dropMonth(tx: Transaction, month: string): Promise<void> {
  await tx`SET LOCAL lock_timeout = '300ms'`;
  await tx`DROP TABLE IF EXISTS ${tx(`webhook_tries_${month}`)}, ${tx(`webhook_deliveries_${month}`)}`;
}

/** Rows that a fact wrote while their endpoint was being disabled or deleted, and such without history. */
async function endStrays(db: Database): Promise<void> {
  await db`
    WITH stray AS (
      DELETE FROM webhook_queue q
      WHERE q.run_at <= now()
        AND (NOT EXISTS (SELECT FROM webhooks w WHERE w.id = q.webhook_id AND w.disabled_at IS NULL)
             OR NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.id = q.delivery_id))
      RETURNING q.delivery_id
    )
    UPDATE webhook_deliveries d SET status = 'failed', ended_at = now() FROM stray WHERE d.id = stray.delivery_id`;
}
