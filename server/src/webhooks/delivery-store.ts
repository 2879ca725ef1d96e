/** SQL of the log: what was sent to an endpoint, what came of it, and sending again. */
import type { Queryable } from '../database/database.ts';
import { eventColumns, eventTables } from './lane-store.ts';
import type { EventRow } from './payload.ts';
import type { DeliveryStatus } from './webhook.ts';

export interface TryRow {
  at: Date;
  milliseconds: number;
  status_code: number | null;
  error: string | null;
  response: string | null;
}

export interface DeliveryRow {
  id: string;
  type: string;
  at: Date;
  status: DeliveryStatus;
  attempts: number;
  email_id: string | null;
  user_id: string | null;
  ended_at: Date | null;
  next_attempt_at: Date | null;
  last_status_code: number | null;
  last_error: string | null;
}

/** While a call is under way, the next attempt is this one. */
const deliveryColumns = (db: Queryable) => db`
  d.id, d.type, d.at, d.status, d.attempts, d.email_id, d.user_id, d.ended_at,
  CASE WHEN q.lease_token IS NULL THEN greatest(q.run_at, w.rest_until) END AS next_attempt_at,
  last.status_code AS last_status_code, last.error AS last_error`;

const deliveryTables = (db: Queryable) => db`
  webhook_deliveries d
  JOIN webhooks w ON w.id = d.webhook_id
  LEFT JOIN webhook_queue q ON q.delivery_id = d.id
  LEFT JOIN LATERAL (
    SELECT t.status_code, t.error FROM webhook_tries t WHERE t.delivery_id = d.id ORDER BY t.id DESC LIMIT 1
  ) AS last ON true`;

/** Newest first, by keyset. */
export async function deliveriesPage(
  db: Queryable,
  webhookId: string,
  { status, limit, after }: { status?: DeliveryStatus; limit: number; after?: string },
): Promise<DeliveryRow[]> {
  return db<DeliveryRow[]>`
    SELECT ${deliveryColumns(db)} FROM ${deliveryTables(db)}
    WHERE d.webhook_id = ${webhookId} ${status === undefined ? db`` : db`AND d.status = ${status}`}
      ${after === undefined ? db`` : db`AND d.id < ${after}`}
    ORDER BY d.id DESC LIMIT ${limit}`;
}

export async function findDelivery(db: Queryable, webhookId: string, id: string): Promise<DeliveryRow | undefined> {
  const [row] = await db<DeliveryRow[]>`
    SELECT ${deliveryColumns(db)} FROM ${deliveryTables(db)} WHERE d.webhook_id = ${webhookId} AND d.id = ${id}`;
  return row;
}

export async function findEvent(db: Queryable, id: string): Promise<EventRow | undefined> {
  const [row] = await db<EventRow[]>`
    SELECT ${db.unsafe(eventColumns)} FROM webhook_deliveries d ${db.unsafe(eventTables)} WHERE d.id = ${id}`;
  return row;
}

/** Oldest first; of more than a hundred the newest. */
export async function triesOf(db: Queryable, deliveryId: string): Promise<TryRow[]> {
  const rows = await db<TryRow[]>`
    SELECT at, milliseconds, status_code, error, response FROM webhook_tries
    WHERE delivery_id = ${deliveryId} ORDER BY id DESC LIMIT 100`;
  return [...rows].reverse();
}

/** Writes an event for one endpoint alone, whatever it subscribed to; returns the id of the delivery. */
export async function insertTest(
  db: Queryable,
  { webhookId, tenantId }: { webhookId: string; tenantId: string },
): Promise<string> {
  const [row] = await db<{ id: string }[]>`
    WITH made AS (
      INSERT INTO webhook_deliveries (id, webhook_id, tenant_id, type, at, data)
      VALUES (new_uuid7(), ${webhookId}, ${tenantId}, 'webhook.test', now(), ${db.json({ webhook: webhookId })})
      RETURNING id, webhook_id
    ), queued AS (
      INSERT INTO webhook_queue (delivery_id, webhook_id, run_at) SELECT id, webhook_id, now() FROM made
    )
    SELECT id FROM made`;
  if (!row) throw new Error('The test event was not inserted.');
  return row.id;
}

/** Makes a delivery due now, also one that is over: it then has its whole schedule before it again. */
export async function requeueDelivery(db: Queryable, webhookId: string, id: string): Promise<void> {
  await db`
    WITH again AS (
      UPDATE webhook_deliveries SET status = 'pending', ended_at = NULL
      WHERE webhook_id = ${webhookId} AND id = ${id} RETURNING id, webhook_id
    )
    INSERT INTO webhook_queue AS q (delivery_id, webhook_id, run_at) SELECT id, webhook_id, now() FROM again
    ON CONFLICT (delivery_id) DO UPDATE SET run_at = now() WHERE q.lease_token IS NULL`;
}

/**
 * Queues failed deliveries of events from an instant on, oldest first, and makes due those that wait.
 * @returns how many, and whether there are more
 */
export async function requeueFailed(
  db: Queryable,
  webhookId: string,
  { since, max }: { since: Date; max: number },
): Promise<number> {
  const [row] = await db<{ count: number }[]>`
    WITH failed AS (
      SELECT id FROM webhook_deliveries
      WHERE webhook_id = ${webhookId} AND status = 'failed' AND id >= uuid7_floor(${since})
      ORDER BY id LIMIT ${max} FOR UPDATE
    ), again AS (
      UPDATE webhook_deliveries d SET status = 'pending', ended_at = NULL FROM failed
      WHERE d.id = failed.id RETURNING d.id, d.webhook_id
    ), queued AS (
      INSERT INTO webhook_queue (delivery_id, webhook_id, run_at) SELECT id, webhook_id, now() FROM again
      ON CONFLICT DO NOTHING
    ), hastened AS (
      UPDATE webhook_queue SET run_at = now()
      WHERE webhook_id = ${webhookId} AND run_at > now() AND lease_token IS NULL
        AND delivery_id >= uuid7_floor(${since})
    )
    SELECT count(*)::int AS count FROM again`;
  return row?.count ?? 0;
}
