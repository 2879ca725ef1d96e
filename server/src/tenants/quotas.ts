/**
 * How many recipients a tenant may send to in a day (of UTC) and in a second. Most tenants have no quota; which have is
 * kept in memory and read again every few seconds, so that the others cost nothing. What a tenant has used is counted in
 * PostgreSQL, in the transaction that accepts the mail and under the lock of the tenant's one row: exactly, however many
 * nodes accept at once.
 */
import type { Database, Queryable } from '../database/database.ts';
import { defineError, type PosternError } from '../errors.ts';
import { unknownTenant } from './errors.ts';

export interface Quota {
  /** Null is as many as it likes. */
  daily: number | null;
  perSecond: number | null;
}

export interface Quotas {
  /** Whether the tenant has a quota; where that is known it takes no time. */
  has: (tenantId: string) => boolean | Promise<boolean>;
}

const overDaily = defineError('quotas.daily', 429, 'The daily quota of this tenant is used up');
const overPerSecond = defineError('quotas.per_second', 429, 'The quota per second of this tenant is used up');

const freshMs = 2_000;

export function openQuotas(db: Database): Quotas {
  let known = new Set<string>();
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  const read = () => {
    const startedAt = performance.now();
    reading ??= tenantsWithQuota(db)
      .then((ids) => {
        known = new Set(ids);
        readAt = startedAt;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  };
  return {
    has: (tenantId) => {
      const age = performance.now() - readAt;
      if (age < freshMs) return known.has(tenantId);
      const done = read();
      // A little behind is better than all who come now waiting together.
      if (age > 5 * freshMs) return done.then(() => known.has(tenantId));
      done.catch(() => {});
      return known.has(tenantId);
    },
  };
}

/**
 * Sets a tenant's quotas; those that are not named stay. Nodes know of a first quota within seconds, of another at once.
 * @throws unknownTenant
 */
export async function setQuota(db: Queryable, slug: string, quota: Partial<Quota>): Promise<Quota> {
  const [row] = await db<Quota[]>`
    UPDATE tenants SET
      daily_quota = ${quota.daily === undefined ? db`daily_quota` : quota.daily},
      per_second_quota = ${quota.perSecond === undefined ? db`per_second_quota` : quota.perSecond}
    WHERE slug = ${slug}
    RETURNING daily_quota AS daily, per_second_quota AS "perSecond"`;
  if (!row) throw unknownTenant({ detail: `There is no tenant "${slug}".` });
  return row;
}

/**
 * Counts letters against a tenant's quotas, in the caller's transaction: each in turn while there is room for all its
 * recipients. Call it late in the transaction, since others of the tenant wait for its end.
 * @param letters recipients of each
 * @returns for each undefined, or why it must not be accepted
 */
export async function takeQuota(
  tx: Queryable,
  tenantId: string,
  letters: number[],
): Promise<(PosternError | undefined)[]> {
  const { daily, perSecond, inDay, inSecond, dayEndsIn } = await lockUsage(tx, tenantId);
  let taken = 0;
  const refusals = letters.map((recipients) => {
    if (daily !== null && inDay + taken + recipients > daily) {
      return overDaily({
        detail: `quotas.daily: ${daily} recipients a day (UTC), of which ${daily - Math.min(daily, inDay + taken)} are left.`,
        retryAfterSeconds: dayEndsIn,
      });
    }
    if (perSecond !== null && inSecond + taken + recipients > perSecond) {
      return overPerSecond({ detail: `quotas.per_second: ${perSecond} recipients a second.`, retryAfterSeconds: 1 });
    }
    taken += recipients;
    return undefined;
  });
  if (taken > 0) await addUsage(tx, tenantId, taken);
  return refusals;
}

async function tenantsWithQuota(db: Database): Promise<string[]> {
  const rows = await db<{ id: string }[]>`
    SELECT id FROM tenants WHERE daily_quota IS NOT NULL OR per_second_quota IS NOT NULL`;
  return rows.map(({ id }) => id);
}

interface Usage extends Quota {
  inDay: number;
  inSecond: number;
  /** Seconds. */
  dayEndsIn: number;
}

/**
 * Locks the tenant's row, and starts it anew where a day or second has begun. The clock is read once the lock is held:
 * who waited for it would otherwise count in a second that is over.
 */
async function lockUsage(tx: Queryable, tenantId: string): Promise<Usage> {
  const [row] = await tx<Usage[]>`
    WITH usage AS (
      INSERT INTO quota_usage AS u (tenant_id, day, in_day, second, in_second)
      VALUES (${tenantId}, (clock_timestamp() AT TIME ZONE 'UTC')::date, 0, date_trunc('second', clock_timestamp()), 0)
      ON CONFLICT (tenant_id) DO UPDATE SET
        day = (clock_timestamp() AT TIME ZONE 'UTC')::date,
        in_day = CASE WHEN u.day = (clock_timestamp() AT TIME ZONE 'UTC')::date THEN u.in_day ELSE 0 END,
        second = date_trunc('second', clock_timestamp()),
        in_second = CASE WHEN u.second = date_trunc('second', clock_timestamp()) THEN u.in_second ELSE 0 END
      RETURNING *
    )
    SELECT t.daily_quota AS daily, t.per_second_quota AS "perSecond", u.in_day AS "inDay", u.in_second AS "inSecond",
           extract(epoch FROM (u.day + 1)::timestamp AT TIME ZONE 'UTC' - clock_timestamp())::float8 AS "dayEndsIn"
    FROM usage u JOIN tenants t ON t.id = u.tenant_id`;
  if (!row) throw new Error(`There is no tenant ${tenantId} to count for.`);
  return row;
}

async function addUsage(tx: Queryable, tenantId: string, recipients: number): Promise<void> {
  await tx`
    UPDATE quota_usage SET in_day = in_day + ${recipients}, in_second = in_second + ${recipients}
    WHERE tenant_id = ${tenantId}`;
}
