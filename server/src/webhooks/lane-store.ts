/** SQL of the lane that delivers: claiming, loading, and writing what came of it. Unprepared, for the reason given in queue/postgres.ts. */
import { randomUUID } from 'node:crypto';
import type { Database, Queryable } from '../database/database.ts';
import type { EventRow } from './payload.ts';
import type { DisabledReason } from './webhook.ts';

/** Longer than a call may take, so that no other worker begins what this one is at. */
export const leaseSeconds = 20;
/** Calls of one endpoint at the same time, over all workers. */
const perEndpoint = 10;
/** Tries that fail in a row until the endpoint gets a rest; then one call at a time finds out. */
const failuresToRest = 5;
/** The first rest; each further one is twice as long, up to the longest. */
const firstRestSeconds = 30;
const longestRestSeconds = 1_800;
/** An endpoint that has taken nothing for so long is disabled. */
const daysToDisable = 5;

export interface Claim {
  deliveryId: string;
  webhookId: string;
  leaseToken: string;
  /** Tries so far since it was put into the queue. */
  attempts: number;
}

/**
 * Takes up to `limit` due deliveries, each under a lease, from the endpoints in turn and those of different tenants
 * first: whoever has a backlog, or an endpoint that hangs, holds up its own alone. Nothing here waits for a lock.
 */
export async function claimDeliveries(db: Database, limit: number): Promise<Claim[]> {
  const leaseToken = randomUUID();
  // The endpoints in the queue are found by leaping from one to the next through the index, however many rows each has.
  const results = await db.unsafe<{ delivery_id: string; webhook_id: string; attempts: number }[][]>(`
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off;
    WITH RECURSIVE waiting AS (
      (SELECT webhook_id FROM webhook_queue ORDER BY webhook_id LIMIT 1)
      UNION ALL
      SELECT (SELECT q.webhook_id FROM webhook_queue q WHERE q.webhook_id > waiting.webhook_id
              ORDER BY q.webhook_id LIMIT 1)
      FROM waiting WHERE waiting.webhook_id IS NOT NULL
    ), endpoint AS MATERIALIZED (
      SELECT w.id, w.tenant_id,
             CASE WHEN w.failures >= ${failuresToRest} THEN 1 ELSE ${perEndpoint} END
             - (SELECT count(*) FILTER (WHERE q.run_at > now()) FROM webhook_queue q
                WHERE q.webhook_id = w.id AND q.lease_token IS NOT NULL) AS room
      -- One by one, each by its key: a join would read all endpoints for each.
      FROM waiting CROSS JOIN LATERAL (
        SELECT id, tenant_id, failures FROM webhooks
        WHERE id = waiting.webhook_id AND disabled_at IS NULL AND (rest_until IS NULL OR rest_until <= now())
        FOR UPDATE SKIP LOCKED
      ) AS w
    ), due AS (
      SELECT one.delivery_id, row_number() OVER (PARTITION BY endpoint.tenant_id ORDER BY one.run_at, one.delivery_id) AS turn
      FROM endpoint CROSS JOIN LATERAL (
        SELECT q.delivery_id, q.run_at FROM webhook_queue q
        WHERE q.webhook_id = endpoint.id AND q.run_at <= now()
        ORDER BY q.run_at, q.delivery_id LIMIT greatest(endpoint.room, 0)
      ) AS one
      ORDER BY turn LIMIT ${Math.trunc(limit)}
    ), free AS (
      -- Locked once they are chosen: most of what was looked at stays.
      SELECT q.delivery_id FROM webhook_queue q JOIN due USING (delivery_id)
      WHERE q.run_at <= now() FOR UPDATE OF q SKIP LOCKED
    )
    UPDATE webhook_queue q
    SET lease_token = '${leaseToken}', run_at = now() + make_interval(secs => ${leaseSeconds})
    FROM free WHERE q.delivery_id = free.delivery_id
    RETURNING q.delivery_id, q.webhook_id, q.attempts`);
  const rows = results.at(-1) ?? [];
  return rows
    .map((row) => ({ deliveryId: row.delivery_id, webhookId: row.webhook_id, leaseToken, attempts: row.attempts }))
    .sort((a, b) => (a.deliveryId < b.deliveryId ? -1 : 1));
}

export interface DueDelivery extends EventRow {
  id: string;
  url: string;
  secret_sealed: Uint8Array;
  /** Null where there is none any more that signs. */
  former_secret_sealed: Uint8Array | null;
}

/** SQL: an event with what is known about its letter or user now, of `d` webhook_deliveries. */
export const eventColumns = `
  d.type, d.at, t.slug AS tenant_slug, d.email_id, d.recipient, d.user_id, d.data, e.message_id, e.tags, e.metadata,
  CASE WHEN u.id IS NOT NULL THEN json_build_object('email', u.email, 'username', u.username, 'name', u.name,
                                                    'profile_image_url', u.profile_image_url) END AS "user",
  u.email_verified_at AS user_verified_at, u.created_at AS user_created_at`;
export const eventTables = `
  JOIN tenants t ON t.id = d.tenant_id
  LEFT JOIN emails e ON e.id = d.email_id AND e.tenant_id = d.tenant_id
  LEFT JOIN users u ON u.id = d.user_id AND u.tenant_id = d.tenant_id`;

export async function loadDeliveries(db: Queryable, ids: string[]): Promise<DueDelivery[]> {
  return db.unsafe<DueDelivery[]>(
    `SELECT d.id, w.url, w.secret_sealed,
            CASE WHEN w.former_secret_until > now() THEN w.former_secret_sealed END AS former_secret_sealed,
            ${eventColumns}
     FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id ${eventTables}
     WHERE d.id = ANY($1::uuid[])`,
    [`{${ids.join(',')}}`],
  );
}

/** What came of a call. */
export interface Outcome {
  delivery_id: string;
  webhook_id: string;
  lease_token: string;
  try_id: string;
  at: string;
  milliseconds: number;
  status_code: number | null;
  error: string | null;
  response: string | null;
  is_delivered: boolean;
  /** The endpoint says that it is gone for good. */
  is_gone: boolean;
  /** Seconds until the next try; null where this was the last. */
  next_in: number | null;
  /** Seconds for which the endpoint asks to be left alone. */
  rest_seconds: number | null;
}

/** An endpoint whose failures have consequences now. */
export interface Verdict {
  id: string;
  tenantId: string;
  /** Why it is disabled, if it is. */
  disabled: DisabledReason | null;
  /** Until when it rests, if a rest begins. */
  restUntil: Date | null;
}

/**
 * Writes outcomes together: each into the log; the queue where the lease is still held; the delivery, which a call that
 * was taken ends in any case; and the circuit of the endpoints.
 */
export async function writeOutcomes(db: Queryable, outcomes: Outcome[]): Promise<Verdict[]> {
  return db.unsafe<(Verdict & Record<string, unknown>)[]>(
    `WITH outcome AS MATERIALIZED (
       SELECT * FROM json_to_recordset($1::text::json) AS t (
         delivery_id uuid, webhook_id uuid, lease_token uuid, try_id uuid, at timestamptz, milliseconds integer,
         status_code smallint, error text, response text, is_delivered boolean, is_gone boolean, next_in float8,
         rest_seconds float8)
     ), tries AS (
       INSERT INTO webhook_tries (delivery_id, id, at, milliseconds, status_code, error, response)
       SELECT delivery_id, try_id, at, milliseconds, status_code, error, response FROM outcome
     ), ended AS (
       DELETE FROM webhook_queue q USING outcome o
       WHERE q.delivery_id = o.delivery_id AND q.lease_token = o.lease_token AND o.next_in IS NULL
       RETURNING q.delivery_id
     ), retimed AS (
       UPDATE webhook_queue q
       SET run_at = now() + make_interval(secs => o.next_in), lease_token = NULL, attempts = q.attempts + 1
       FROM outcome o
       WHERE q.delivery_id = o.delivery_id AND q.lease_token = o.lease_token AND o.next_in IS NOT NULL
     ), deliveries AS (
       UPDATE webhook_deliveries d
       SET attempts = d.attempts + 1,
           status = CASE WHEN o.is_delivered THEN 'delivered' WHEN ended.delivery_id IS NOT NULL THEN 'failed'
                         ELSE d.status END,
           ended_at = CASE WHEN o.is_delivered OR ended.delivery_id IS NOT NULL THEN now() ELSE d.ended_at END
       FROM outcome o LEFT JOIN ended USING (delivery_id)
       WHERE d.id = o.delivery_id
     ), summary AS (
       SELECT webhook_id, count(*)::int AS failures, bool_or(is_delivered) AS is_well, bool_or(is_gone) AS is_gone,
              max(rest_seconds) AS rest_seconds
       FROM outcome GROUP BY webhook_id
     ), verdict AS MATERIALIZED (
       SELECT w.id, s.failures + w.failures AS failures, s.is_well, s.rest_seconds,
              NOT s.is_well AND s.failures + w.failures >= ${failuresToRest}
                AND (w.rest_until IS NULL OR w.rest_until <= now()) AS rests,
              CASE WHEN w.disabled_at IS NOT NULL THEN NULL WHEN s.is_gone THEN 'gone'
                   WHEN NOT s.is_well AND w.failing_since < now() - interval '${daysToDisable} days' THEN 'failing'
              END AS disabled
       FROM webhooks w JOIN summary s ON s.webhook_id = w.id
       -- An endpoint that is well stays as it is: it costs no write.
       WHERE NOT s.is_well OR s.rest_seconds IS NOT NULL OR w.failures > 0 OR w.rest_until IS NOT NULL
       -- In order: two workers that write about the same endpoints must not wait for each other.
       ORDER BY w.id FOR UPDATE OF w
     ), changed AS (
       UPDATE webhooks w SET
         failures = CASE WHEN v.is_well THEN 0 ELSE v.failures END,
         failing_since = CASE WHEN NOT v.is_well THEN coalesce(w.failing_since, now()) END,
         rests = CASE WHEN v.is_well THEN 0 WHEN v.rests THEN w.rests + 1 ELSE w.rests END,
         rest_until = greatest(
           now() + make_interval(secs => v.rest_seconds),
           CASE WHEN v.is_well THEN NULL
                WHEN v.rests THEN now() + make_interval(secs => (0.9 + random() / 5) *
                  least(${longestRestSeconds}, ${firstRestSeconds} * power(2, least(w.rests, 10))))
                ELSE w.rest_until END),
         disabled_at = CASE WHEN v.disabled IS NOT NULL THEN now() ELSE w.disabled_at END,
         disabled_reason = coalesce(v.disabled, w.disabled_reason)
       FROM verdict v WHERE w.id = v.id
       RETURNING w.id, w.tenant_id, v.disabled, CASE WHEN v.rests THEN w.rest_until END AS rest_until
     )
     SELECT id, tenant_id AS "tenantId", disabled, rest_until AS "restUntil" FROM changed
     WHERE disabled IS NOT NULL OR rest_until IS NOT NULL`,
    [JSON.stringify(outcomes)],
  );
}

/** Gives back what was claimed and not called. */
export async function releaseDeliveries(db: Queryable, claims: Claim[]): Promise<void> {
  await db.unsafe(
    `UPDATE webhook_queue q SET run_at = now(), lease_token = NULL
     FROM json_to_recordset($1::text::json) AS held ("deliveryId" uuid, "leaseToken" uuid)
     WHERE q.delivery_id = held."deliveryId" AND q.lease_token = held."leaseToken"`,
    [JSON.stringify(claims)],
  );
}

/** Drops queue rows of deliveries that cannot be loaded: endpoint or history is gone. */
export async function dropClaims(db: Queryable, claims: Claim[]): Promise<void> {
  await db.unsafe(
    `DELETE FROM webhook_queue q
     USING json_to_recordset($1::text::json) AS held ("deliveryId" uuid, "leaseToken" uuid)
     WHERE q.delivery_id = held."deliveryId" AND q.lease_token = held."leaseToken"`,
    [JSON.stringify(claims)],
  );
}

/** Deliveries not at their end, by whether they are due: what an operator watches. */
export async function webhookBacklog(db: Queryable): Promise<{ due: number; waiting: number }> {
  const [row] = await db<{ due: number; waiting: number }[]>`
    SELECT count(*) FILTER (WHERE run_at <= now() OR lease_token IS NOT NULL)::int AS due,
           count(*) FILTER (WHERE run_at > now() AND lease_token IS NULL)::int AS waiting
    FROM webhook_queue`;
  return row ?? { due: 0, waiting: 0 };
}
