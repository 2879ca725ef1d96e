import type { Database } from '../database/database.ts';

export interface TakenRow {
  email_id: string;
  tenant_id: string;
  lane: number;
  cost: number;
  attempts: number;
  claims: number;
  is_expired: boolean;
  lease_token: string;
  /** Place among the letters of its tenant that were taken together. */
  rank: number;
}

/** A tenant that had work due when its turn came. */
interface VisitedRow {
  tenant_id: string;
  /** What its turn was worth, before its debt; 0 where there was less room than tenants. */
  share: number;
}

interface TurnsOptions {
  db: Database;
  lane: number;
  assignments: string;
  isDurable?: boolean;
}

const nobody = '00000000-0000-0000-0000-000000000000';
/** Tenants in one round; the next begins where it ended. */
export const maxTenants = 64;
/** As many letters of a lane are looked at one by one before everyone's turn is asked for. */
const fewLetters = 100;
/** Debts are small and paid soon; more than this many are those of tenants long gone. */
const maxDebts = 10_000;

/**
 * Deficit round robin between the tenants of a lane. Whose turn it is gets an equal share of the room, spends it on its
 * oldest letters by their `cost`, and pays out of later shares for what its last letter overdrew. Room that some leave is
 * shared by the others until it is full or nothing is due.
 *
 * Whose turn is next and who owes how much is this object's memory. Another worker has its own, which is as fair.
 *
 * The statements are sent unprepared, with planner methods switched off. The table fills and empties faster than its
 * statistics are kept, and by stale ones the planner would rather read and sort the backlog than walk the index; and a
 * prepared statement keeps the plan that it got while the table was nearly empty.
 */
export class Turns {
  readonly #db: Database;
  readonly #lane: number;
  readonly #assignments: string;
  readonly #isDurable: boolean;
  /** The tenant served last. */
  #cursor = nobody;
  readonly #debts = new Map<string, number>();
  /** The last time nothing was due: a worker without work asks several times a second. */
  #wasIdle = false;

  /**
   * @param assignments what becomes of the rows that are taken: SET of an UPDATE of `email_queue q`, whole
   * @param isDurable whether a crash of the database must not undo it
   */
  constructor({ db, lane, assignments, isDurable = true }: TurnsOptions) {
    this.#db = db;
    this.#lane = lane;
    this.#assignments = assignments;
    this.#isDurable = isDurable;
  }

  /** Takes up to `room` due letters, those of different tenants alternating. */
  async take(room: number): Promise<TakenRow[]> {
    if (room <= 0 || (this.#wasIdle && !(await this.#mayHaveDue()))) return [];
    const all: TakenRow[] = [];
    let isWholeCircle = false;
    let unfinished: string[] = [];
    while (all.length < room && (!isWholeCircle || unfinished.length > 0)) {
      const round = await this.#round(room - all.length, isWholeCircle ? unfinished : undefined);
      all.push(...round.taken);
      unfinished = round.unfinished;
      isWholeCircle ||= round.isWholeCircle;
    }
    this.#wasIdle = all.length === 0;
    return all;
  }

  /** False where a short look is enough to see that nothing is due. */
  async #mayHaveDue(): Promise<boolean> {
    const [row] = await this.#db<{ may: boolean }[]>`
      SELECT count(*) = ${fewLetters} OR coalesce(min(run_at) <= now(), false) AS may
      FROM (SELECT run_at FROM email_queue WHERE lane = ${this.#lane} LIMIT ${fewLetters}) AS first`;
    return row?.may !== false;
  }

  /** @param tenants whose turn it is; absent: whoever comes next */
  async #round(room: number, tenants?: string[]) {
    const results = await this.#db.unsafe<(TakenRow | VisitedRow)[][]>(this.statement(room, tenants));
    const rows = results.at(-1) ?? [];
    const visited = rows.filter((row): row is VisitedRow => 'share' in row && row.share !== null);
    const taken = rows.filter((row): row is TakenRow => 'email_id' in row && row.email_id !== null);
    const isWholeCircle = tenants === undefined && visited.length < maxTenants;
    if (isWholeCircle) this.#forgetAbsent(visited);
    const spent = new Map<string, number>();
    for (const { tenant_id: tenant, cost } of taken) spent.set(tenant, (spent.get(tenant) ?? 0) + cost);
    const unfinished = visited
      .filter((one) => this.#account(one, spent.get(one.tenant_id) ?? 0))
      .map(({ tenant_id: tenant }) => tenant)
      // Odd letters go to the first: to who owes least, and not always to the same.
      .reverse()
      .sort((a, b) => this.#debtOf(a) - this.#debtOf(b));
    if (taken.length === 0) this.#forgive(unfinished);
    // Of a whole circle, behind the last of those who had the odd letters.
    const last = isWholeCircle ? room % visited.length || visited.length : Math.min(room, visited.length);
    this.#cursor = visited[last - 1]?.tenant_id ?? this.#cursor;
    return { taken: taken.sort((a, b) => a.rank - b.rank), unfinished, isWholeCircle };
  }

  /** Writes down what a turn has cost. Returns whether the tenant may have more that is due. */
  #account({ tenant_id: tenant, share }: VisitedRow, spent: number): boolean {
    const debt = this.#debtOf(tenant);
    this.#debts.delete(tenant);
    // Who had less than it could spend has nothing left, and begins anew.
    if (spent < share - debt) return false;
    const owed = debt + spent - share;
    if (owed > 0) this.#debts.set(tenant, owed);
    return true;
  }

  /** Where all who have work are in debt, time passes until the first of them is not. */
  #forgive(debtors: string[]): void {
    const least = Math.min(...debtors.map((tenant) => this.#debtOf(tenant)));
    for (const tenant of debtors) {
      const debt = this.#debtOf(tenant) - least;
      if (debt > 0) this.#debts.set(tenant, debt);
      else this.#debts.delete(tenant);
    }
  }

  #debtOf(tenant: string): number {
    return this.#debts.get(tenant) ?? 0;
  }

  #forgetAbsent(visited: VisitedRow[]): void {
    if (this.#debts.size === 0) return;
    const present = new Set(visited.map(({ tenant_id: tenant }) => tenant));
    for (const tenant of this.#debts.keys()) if (!present.has(tenant)) this.#debts.delete(tenant);
  }

  /** One round, as one text, hence one implicit transaction and one round trip. */
  statement(room: number, tenants?: string[]): string {
    const lane = this.#lane;
    const size = Math.trunc(room);
    const debts = JSON.stringify(Object.fromEntries([...this.#debts].slice(0, maxDebts)));
    const callers = tenants ? listed(tenants) : walk(lane, this.#cursor);
    return `
      SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
      SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
      ${this.#isDurable ? '' : 'SET LOCAL synchronous_commit = off;'}
      WITH RECURSIVE ${callers}, turn AS MATERIALIZED (
        SELECT tenant_id, ${size} / tenants + (place <= ${size} % tenants)::int AS share
        FROM (SELECT tenant_id, row_number() OVER () AS place, count(*) OVER () AS tenants FROM caller) AS caller
      ), due AS MATERIALIZED (
        SELECT letter.email_id, letter.rank
        FROM turn,
        LATERAL (SELECT greatest(share - coalesce(('${debts}'::jsonb ->> tenant_id::text)::int, 0), 0)) AS purse (size),
        LATERAL (
          -- Without an ORDER of their own the sums follow the index, whose order the lock keeps.
          SELECT email_id, cost, row_number() OVER () AS rank, sum(cost) OVER (ROWS UNBOUNDED PRECEDING) AS spent
          FROM (SELECT email_id, cost FROM email_queue
                WHERE lane = ${lane} AND tenant_id = turn.tenant_id AND run_at <= now()
                ORDER BY run_at LIMIT purse.size FOR UPDATE SKIP LOCKED) AS oldest
        ) AS letter
        WHERE letter.spent - letter.cost < purse.size
      ), taken AS (
        UPDATE email_queue q SET ${this.#assignments}
        FROM due WHERE q.email_id = due.email_id
        RETURNING q.email_id, q.tenant_id, q.cost::int, q.attempts, q.claims,
                  coalesce(q.expires_at <= now(), false) AS is_expired, q.lease_token, due.rank::int
      )
      SELECT tenant_id, share::int, NULL::uuid AS email_id, NULL::int AS lane, NULL::int AS cost, NULL::int AS attempts,
             NULL::int AS claims, NULL::boolean AS is_expired, NULL::uuid AS lease_token, NULL::int AS rank
      FROM turn
      UNION ALL
      SELECT tenant_id, NULL, email_id, ${lane}, cost, attempts, claims, is_expired, lease_token, rank FROM taken`;
  }
}

/**
 * The tenants of a lane that have something due, from the one after `cursor` once round, at most `maxTenants`.
 *
 * A loose index scan: each step is one descent to the first entry behind the tenant before. So a tenant costs the same
 * with one letter or a million, and one whose letters all wait for their time is stepped over as cheaply. Tried first:
 * `row_number() OVER (PARTITION BY tenant_id)`, which reads the whole backlog to rank it.
 */
function walk(lane: number, cursor: string): string {
  const first = (condition: string, isPastEnd: string) => `
    (SELECT tenant_id, run_at, ${isPastEnd} FROM email_queue
     WHERE lane = ${lane} AND ${condition} ORDER BY lane, tenant_id, run_at LIMIT 1)`;
  return `
    step (tenant_id, run_at, found, is_past_end) AS (
      SELECT '${cursor}'::uuid, 'infinity'::timestamptz, 0, false
      UNION ALL
      SELECT next.tenant_id, next.run_at, step.found + (next.run_at <= now())::int, next.is_past_end
      FROM step, LATERAL (
        ${first('tenant_id > step.tenant_id', 'step.is_past_end')} UNION ALL ${first('NOT step.is_past_end', 'true')}
        LIMIT 1
      ) AS next (tenant_id, run_at, is_past_end)
      WHERE step.found < ${maxTenants} AND NOT (next.is_past_end AND next.tenant_id > '${cursor}')
    ), caller AS (SELECT tenant_id FROM step WHERE run_at <= now())`;
}

function listed(tenants: string[]): string {
  return `caller AS (SELECT unnest('{${tenants.join(',')}}'::uuid[]) AS tenant_id)`;
}
