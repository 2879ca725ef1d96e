import type { Database } from '../database/database.ts';
import type { LimitStore } from './limits.ts';

/** Buckets in the table `limits`, which is not logged: after a crash of PostgreSQL it is empty, and so are all debts. */
export function postgresLimits(db: Database): LimitStore {
  return {
    add: async (additions) => {
      // In one order everywhere: two nodes would otherwise wait for each other's rows.
      const rows = await db<{ key: string; debt: number }[]>`
        INSERT INTO limits AS l (key, paid_at)
        SELECT key, now() + make_interval(secs => seconds)
        FROM unnest(${additions.map(({ key }) => key)}::text[], ${additions.map(({ seconds }) => seconds)}::float8[])
          AS addition (key, seconds)
        ORDER BY key
        ON CONFLICT (key) DO UPDATE SET paid_at = greatest(l.paid_at, now()) + (excluded.paid_at - now())
        RETURNING key, extract(epoch FROM paid_at - now())::float8 AS debt`;
      const debts = new Map(rows.map(({ key, debt }) => [key, debt]));
      return additions.map(({ key }) => debts.get(key) ?? 0);
    },
  };
}

/** Removes buckets that are full again. */
export async function purgeLimits(db: Database): Promise<void> {
  await db`DELETE FROM limits WHERE paid_at < now()`;
}
