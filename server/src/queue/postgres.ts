import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Database } from '../database/database.ts';
import { type ClaimedEmail, leaseSeconds, leaseSecondsOf, otpLeaseSeconds, type Queue, type Room } from './queue.ts';

interface ClaimedRow {
  email_id: string;
  tenant_id: string;
  lane: number;
  attempts: number;
  claims: number;
  is_expired: boolean;
}

/**
 * PostgreSQL as the queue: a claim locks due rows that nobody else has locked and moves their `run_at` to the end of the
 * lease, so that one index serves both "due" and "lease ran out".
 *
 * The statements are sent unprepared. A prepared one keeps the plan it got while the table was nearly empty, a scan of
 * the whole table, and would still use it over a backlog of a million rows.
 */
export class PostgresQueue implements Queue {
  readonly #db: Database;
  readonly #log: Logger;

  constructor({ db, log }: { db: Database; log: Logger }) {
    this.#db = db;
    this.#log = log;
  }

  async claim(room: Room): Promise<ClaimedEmail[]> {
    const leaseToken = randomUUID();
    // Before the question is sent, so that the lease as we reckon it never outlives the real one.
    const askedAt = performance.now();
    const results = await this.#db.unsafe<ClaimedRow[][]>(claimStatement(room, leaseToken));
    const rows: ClaimedRow[] = results.at(-1) ?? [];
    return rows
      .map((row) => ({
        id: row.email_id,
        tenantId: row.tenant_id,
        lane: row.lane,
        attempts: row.attempts,
        claims: row.claims,
        isExpired: row.is_expired,
        leaseToken,
        leaseEndsAt: askedAt + leaseSecondsOf(row) * 1000,
      }))
      .sort((a, b) => a.lane - b.lane || (a.id < b.id ? -1 : 1));
  }

  async renew(claimed: ClaimedEmail[]): Promise<ClaimedEmail[]> {
    if (claimed.length === 0) return [];
    const askedAt = performance.now();
    const rows: { email_id: string }[] = await this.#db.unsafe(
      `UPDATE email_queue q
       SET run_at = now() + make_interval(secs => CASE WHEN q.lane = 0 THEN $2::int ELSE $3::int END)
       FROM json_to_recordset($1::text::json) AS held (id uuid, token uuid)
       WHERE q.email_id = held.id AND q.lease_token = held.token
       RETURNING q.email_id`,
      [leasesOf(claimed), otpLeaseSeconds, leaseSeconds],
    );
    const kept = new Set(rows.map((row) => row.email_id));
    for (const one of claimed) if (kept.has(one.id)) one.leaseEndsAt = askedAt + leaseSecondsOf(one) * 1000;
    const lost = claimed.filter(({ id }) => !kept.has(id));
    if (lost.length > 0) this.#log.warn({ emails: lost.map(({ id }) => id) }, 'leases were lost to another worker');
    return lost;
  }

  async release(claimed: ClaimedEmail[]): Promise<void> {
    if (claimed.length === 0) return;
    await this.#db.unsafe(
      `UPDATE email_queue q SET run_at = now(), lease_token = NULL, claims = greatest(q.claims - 1, 0)
       FROM json_to_recordset($1::text::json) AS held (id uuid, token uuid)
       WHERE q.email_id = held.id AND q.lease_token = held.token`,
      [leasesOf(claimed)],
    );
  }
}

/**
 * One text, hence one implicit transaction and one round trip. The table fills and empties faster than its statistics
 * are kept, and by stale ones the planner would rather read and sort the whole backlog than walk the index.
 */
function claimStatement({ otp, transactional, bulk }: Room, leaseToken: string): string {
  const due = (lane: number, limit: string) => `
    SELECT email_id FROM email_queue WHERE lane = ${lane} AND run_at <= now()
    ORDER BY run_at LIMIT ${limit} FOR UPDATE SKIP LOCKED`;
  return `
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    WITH otp AS (${due(0, `${Math.trunc(otp)}`)}),
    transactional AS (${due(1, `${Math.trunc(transactional)}`)}),
    bulk AS (${due(2, `greatest(${Math.trunc(bulk)} - (SELECT count(*) FROM transactional), 0)`)}),
    due AS (
      SELECT email_id FROM otp UNION ALL SELECT email_id FROM transactional UNION ALL SELECT email_id FROM bulk
    )
    UPDATE email_queue q
    SET lease_token = '${leaseToken}', claims = claims + 1,
        run_at = now() + make_interval(secs => CASE WHEN lane = 0 THEN ${otpLeaseSeconds} ELSE ${leaseSeconds} END)
    FROM due WHERE q.email_id = due.email_id
    RETURNING q.email_id, q.tenant_id, q.lane, q.attempts, q.claims, coalesce(q.expires_at <= now(), false) AS is_expired`;
}

function leasesOf(claimed: ClaimedEmail[]): string {
  return JSON.stringify(claimed.map(({ id, leaseToken }) => ({ id, token: leaseToken })));
}
