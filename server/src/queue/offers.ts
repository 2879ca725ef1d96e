/**
 * SQL of the way over a broker. A letter that is offered is due for whoever receives its id, and for everyone once its
 * offer has run out: what a broker loses comes back by itself, by the same index that finds due work.
 */
import type { Database } from '../database/database.ts';
import { type ClaimedEmail, leaseSecondsOf, otpLeaseSeconds } from './queue.ts';
import { Turns } from './turns.ts';

/** How long an offer stands: as long as what a broker has lost waits. */
export function offerSecondsOf({ lane }: { lane: number }): number {
  return lane === 0 ? 5 : 15;
}

/** Chooses due letters of a lane by turns, to be offered. */
export function makeOffers({ db, lane }: { db: Database; lane: number }): Turns {
  return new Turns({
    db,
    lane,
    assignments: `lease_token = NULL, is_offered = true, run_at = now() + interval '${offerSecondsOf({ lane })} s'`,
    // An offer that a crash of the database undoes is made again.
    isDurable: false,
  });
}

interface LeasedRow {
  email_id: string;
  tenant_id: string;
  lane: number;
  attempts: number;
  claims: number;
  is_expired: boolean;
  lease_token: string;
  lease_seconds: number;
}

/**
 * Takes the leases of letters whose ids a broker has brought, in the order of `ids`. Left out is what another has, what
 * was canceled or sent meanwhile, and what waits for its time again: an id that came twice.
 *
 * A letter may be passed over although nobody has it: another worker's round, begun before the offer was made, has locked
 * it to see that it is no longer due. Such ids are worth another try.
 *
 * The lease is what is left of the offer, where that is half a lease: no indexed column changes then, which makes the
 * update several times cheaper.
 */
export async function takeOffered(
  db: Database,
  ids: string[],
): Promise<{ claims: ClaimedEmail[]; passedOver: ReadonlySet<string> }> {
  const askedAt = performance.now();
  const rows: LeasedRow[] = await db.unsafe(
    `WITH due AS MATERIALIZED (
       SELECT q.email_id, wanted.place,
              make_interval(secs => CASE WHEN q.lane = 0 THEN $2::int ELSE $3::int END) AS lease
       FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
       JOIN email_queue q ON q.email_id = wanted.id
       WHERE q.is_offered OR q.run_at <= now()
       FOR UPDATE OF q SKIP LOCKED
     )
     UPDATE email_queue q
     SET lease_token = gen_random_uuid(), claims = q.claims + 1, is_offered = false,
         run_at = CASE WHEN q.run_at < now() + due.lease / 2 THEN now() + due.lease ELSE q.run_at END
     FROM due WHERE q.email_id = due.email_id
     RETURNING q.email_id, q.tenant_id, q.lane, q.attempts, q.claims, q.lease_token,
               coalesce(q.expires_at <= now(), false) AS is_expired,
               extract(epoch FROM q.run_at - now())::float AS lease_seconds`,
    [`{${ids.join(',')}}`, otpLeaseSeconds, leaseSecondsOf({ lane: 1 })],
  );
  const places = new Map(ids.map((id, place) => [id, place]));
  const claims = rows
    .map((row) => ({
      id: row.email_id,
      tenantId: row.tenant_id,
      lane: row.lane,
      attempts: row.attempts,
      claims: row.claims,
      isExpired: row.is_expired,
      leaseToken: row.lease_token,
      leaseEndsAt: askedAt + row.lease_seconds * 1000,
    }))
    .sort((a, b) => (places.get(a.id) ?? 0) - (places.get(b.id) ?? 0));
  for (const { id } of claims) places.delete(id);
  return { claims, passedOver: await findOffered(db, [...places.keys()]) };
}

async function findOffered(db: Database, ids: string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows: { email_id: string }[] = await db.unsafe(
    'SELECT email_id FROM email_queue WHERE email_id = ANY($1::uuid[]) AND is_offered',
    [`{${ids.join(',')}}`],
  );
  return new Set(rows.map((row) => row.email_id));
}

/** Makes letters due for everyone whose offer has reached nobody. */
export async function withdrawOffers(db: Database, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  await db.unsafe(
    `UPDATE email_queue SET run_at = now(), is_offered = false
     WHERE email_id IN (SELECT email_id FROM email_queue
                        WHERE email_id = ANY($1::uuid[]) AND lease_token IS NULL AND is_offered
                        FOR UPDATE SKIP LOCKED)`,
    [`{${ids.join(',')}}`],
  );
}

/** By what name brokers know the queues of this database, so that several Posterns may share a broker. */
export async function readInstallation(db: Database): Promise<string> {
  const [row] = await db<{ id: string }[]>`SELECT id FROM installation`;
  if (!row) throw new Error('The table installation is empty; run the migrations.');
  return row.id;
}
