import type { Logger } from 'pino';
import type { Database } from '../database/database.ts';
import {
  type ClaimedEmail,
  leaseSeconds,
  leaseSecondsOf,
  type OpenQueue,
  otpLeaseSeconds,
  type Room,
} from './queue.ts';
import { Turns } from './turns.ts';
import { Upkeep } from './upkeep.ts';

/**
 * PostgreSQL as the queue: a claim locks due rows that nobody else has locked and moves their `run_at` to the end of the
 * lease, so that one index serves both "due" and "lease ran out".
 */
export class PostgresQueue implements OpenQueue {
  readonly #db: Database;
  readonly #log: Logger;
  readonly #upkeep: Upkeep;
  readonly #otp: Turns;
  readonly #transactional: Turns;
  readonly #bulk: Turns;

  constructor({ db, log, upkeep = new Upkeep({ db, log }) }: { db: Database; log: Logger; upkeep?: Upkeep }) {
    this.#db = db;
    this.#log = log;
    this.#upkeep = upkeep;
    const turns = (lane: number) => new Turns({ db, lane, assignments: leaseAssignments(lane) });
    this.#otp = turns(0);
    this.#transactional = turns(1);
    this.#bulk = turns(2);
  }

  async claim(room: Room): Promise<ClaimedEmail[]> {
    // Before the question is sent, so that the lease as we reckon it never outlives the real one.
    const askedAt = performance.now();
    const [codes, transactional] = await Promise.all([
      this.#otp.take(room.otp),
      this.#transactional.take(room.transactional),
    ]);
    const bulk = await this.#bulk.take(room.bulk - transactional.length);
    const rows = [...codes, ...transactional, ...bulk];
    this.#upkeep.note(rows.length);
    return rows.map((row) => ({
      id: row.email_id,
      tenantId: row.tenant_id,
      lane: row.lane,
      attempts: row.attempts,
      claims: row.claims,
      isExpired: row.is_expired,
      leaseToken: row.lease_token,
      leaseEndsAt: askedAt + leaseSecondsOf(row) * 1000,
    }));
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
      `UPDATE email_queue q SET run_at = now(), lease_token = NULL, is_offered = false, claims = greatest(q.claims - 1, 0)
       FROM json_to_recordset($1::text::json) AS held (id uuid, token uuid)
       WHERE q.email_id = held.id AND q.lease_token = held.token`,
      [leasesOf(claimed)],
    );
  }

  // Whoever claims asks the table itself, so there is nobody to wake and nobody who would call.
  wake(): void {}

  onWork(): void {}

  async close(): Promise<void> {
    await this.#upkeep.settled();
  }
}

/** SET of the UPDATE that takes a lease: its end, and the token that every later write must name. */
function leaseAssignments(lane: number): string {
  return `lease_token = gen_random_uuid(), claims = q.claims + 1, is_offered = false,
          run_at = now() + interval '${leaseSecondsOf({ lane })} s'`;
}

function leasesOf(claimed: ClaimedEmail[]): string {
  return JSON.stringify(claimed.map(({ id, leaseToken }) => ({ id, token: leaseToken })));
}
