/** SQL of endpoints. */
import type { Queryable } from '../database/database.ts';
import type { DisabledReason, Webhook } from './webhook.ts';

interface WebhookRow {
  id: string;
  tenant_id: string;
  url: string;
  events: string[] | null;
  description: string | null;
  disabled_at: Date | null;
  disabled_reason: DisabledReason | null;
  failures: number;
  failing_since: Date | null;
  rest_until: Date | null;
  former_secret_until: Date | null;
  created_at: Date;
}

const toWebhook = (row: WebhookRow): Webhook => ({
  id: row.id,
  tenantId: row.tenant_id,
  url: row.url,
  events: row.events,
  description: row.description,
  disabledAt: row.disabled_at,
  disabledReason: row.disabled_reason,
  failures: row.failures,
  failingSince: row.failing_since,
  restUntil: row.rest_until,
  formerSecretUntil: row.former_secret_until,
  createdAt: row.created_at,
});

/** What is over is not shown. */
const columns = (db: Queryable) => db`
  id, tenant_id, url, events, description, disabled_at, disabled_reason, failures, failing_since,
  CASE WHEN rest_until > now() THEN rest_until END AS rest_until,
  CASE WHEN former_secret_until > now() THEN former_secret_until END AS former_secret_until, created_at`;

export interface NewWebhook {
  id: string;
  tenantId: string;
  url: string;
  events: string[] | null;
  description: string | null;
  secretSealed: Buffer;
}

/** The new one, or undefined where the tenant has `max` already. Two at the same moment may make one more. */
export async function insertWebhook(db: Queryable, webhook: NewWebhook, max: number): Promise<Webhook | undefined> {
  const [row] = await db<WebhookRow[]>`
    INSERT INTO webhooks (id, tenant_id, url, events, description, secret_sealed)
    SELECT ${webhook.id}::uuid, ${webhook.tenantId}::uuid, ${webhook.url}::text, ${webhook.events}::text[],
           ${webhook.description}::text, ${webhook.secretSealed}::bytea
    WHERE (SELECT count(*) FROM webhooks WHERE tenant_id = ${webhook.tenantId}) < ${max}
    RETURNING ${columns(db)}`;
  return row && toWebhook(row);
}

/** @param tenantId another tenant's is as absent as one that never was (S41) */
export async function findWebhook(db: Queryable, tenantId: string, id: string): Promise<Webhook | undefined> {
  const [row] = await db<WebhookRow[]>`
    SELECT ${columns(db)} FROM webhooks WHERE tenant_id = ${tenantId} AND id = ${id}`;
  return row && toWebhook(row);
}

/** Newest first, by keyset. */
export async function webhooksPage(
  db: Queryable,
  tenantId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Webhook[]> {
  const rows = await db<WebhookRow[]>`
    SELECT ${columns(db)} FROM webhooks
    WHERE tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND id < ${after}`}
    ORDER BY id DESC LIMIT ${limit}`;
  return rows.map(toWebhook);
}

export interface WebhookChange {
  url?: string;
  events?: string[] | null;
  description?: string | null;
  isEnabled?: boolean;
}

/**
 * Changes what is given. Where it goes elsewhere or is enabled, its failures so far no longer count.
 */
export async function updateWebhook(
  db: Queryable,
  tenantId: string,
  id: string,
  { url, events, description, isEnabled }: WebhookChange,
): Promise<Webhook | undefined> {
  const [row] = await db<WebhookRow[]>`
    UPDATE webhooks SET
      url = ${url === undefined ? db`url` : db`${url}`},
      events = ${events === undefined ? db`events` : db`${events}::text[]`},
      description = ${description === undefined ? db`description` : db`${description}`}
      ${url === undefined && isEnabled !== true ? db`` : db`, failures = 0, failing_since = NULL, rests = 0, rest_until = NULL`}
      ${isEnabled === true ? db`, disabled_at = NULL, disabled_reason = NULL` : db``}
      ${isEnabled === false ? db`, disabled_at = coalesce(disabled_at, now()), disabled_reason = coalesce(disabled_reason, 'manual')` : db``}
    WHERE tenant_id = ${tenantId} AND id = ${id}
    RETURNING ${columns(db)}`;
  return row && toWebhook(row);
}

/** Takes a new secret; the one so far signs too for `overlapSeconds`. */
export async function replaceSecret(
  db: Queryable,
  tenantId: string,
  id: string,
  { secretSealed, overlapSeconds }: { secretSealed: Buffer; overlapSeconds: number },
): Promise<Webhook | undefined> {
  const [row] = await db<WebhookRow[]>`
    UPDATE webhooks SET
      former_secret_sealed = CASE WHEN ${overlapSeconds} > 0 THEN secret_sealed END,
      former_secret_until = CASE WHEN ${overlapSeconds} > 0 THEN now() + make_interval(secs => ${overlapSeconds}) END,
      secret_sealed = ${secretSealed}
    WHERE tenant_id = ${tenantId} AND id = ${id}
    RETURNING ${columns(db)}`;
  return row && toWebhook(row);
}

/** What waits for it goes with it; what was sent stays in the history until its time is over. */
export async function removeWebhook(db: Queryable, tenantId: string, id: string): Promise<boolean> {
  const rows = await db`
    WITH removed AS (
      DELETE FROM webhooks WHERE tenant_id = ${tenantId} AND id = ${id} RETURNING id
    ), waiting AS (
      DELETE FROM webhook_queue q USING removed WHERE q.webhook_id = removed.id
    )
    SELECT id FROM removed`;
  return rows.length > 0;
}

/** Ends what waits for an endpoint that is disabled. It can be sent again by hand once the endpoint is enabled. */
export async function endWaiting(db: Queryable, webhookId: string): Promise<void> {
  await db`
    WITH waiting AS (
      DELETE FROM webhook_queue WHERE webhook_id = ${webhookId} RETURNING delivery_id
    )
    UPDATE webhook_deliveries d SET status = 'failed', ended_at = now() FROM waiting WHERE d.id = waiting.delivery_id`;
}

/** Lets the next delivery be tried at once, whatever the circuit says. */
export async function endRest(db: Queryable, webhookId: string): Promise<void> {
  await db`UPDATE webhooks SET rest_until = NULL WHERE id = ${webhookId} AND rest_until IS NOT NULL`;
}
