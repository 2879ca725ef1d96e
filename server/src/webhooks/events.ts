/** Which events there are, and the SQL that writes one down for every endpoint that wants it. */

/** What an endpoint may ask for. */
export const webhookEventTypes = [
  'email.queued',
  'email.sent',
  'email.delivered',
  'email.delivery_delayed',
  'email.bounced',
  'email.failed',
  'email.expired',
  'email.canceled',
  'email.suppressed',
  'email.complained',
  'email.uncertain',
  'email.unsubscribed',
  'user.invited',
  'user.registered',
  'user.verified',
  'user.logged_in',
  'user.logged_out',
  'user.password_changed',
  'user.password_reset',
  'user.email_changed',
  'user.disabled',
  'user.enabled',
  'user.deleted',
  'webhook.disabled',
] as const;
export type WebhookEventType = (typeof webhookEventTypes)[number];

export function isWebhookEvent(type: string): boolean {
  return webhookEventTypes.some((one) => one === type);
}

/**
 * SQL: two common table expressions that write an event for every endpoint of its tenant that wants it. They stand in
 * the statement that writes the fact, so that there is no event without it and none is missing. Where no tenant has an
 * endpoint the rows are not even read.
 * @param rows a query for tenant_id, type, at, email_id, recipient, user_id, data (jsonb)
 */
export function webhookEvents(rows: string): string {
  return `webhook_delivery AS (
            INSERT INTO webhook_deliveries (id, webhook_id, tenant_id, type, at, email_id, recipient, user_id, data)
            SELECT new_uuid7(), w.id, e.tenant_id, e.type, e.at, e.email_id, e.recipient, e.user_id, e.data
            FROM webhooks w JOIN (${rows}) AS e ON e.tenant_id = w.tenant_id
            WHERE w.disabled_at IS NULL AND (w.events IS NULL OR e.type = ANY (w.events))
            RETURNING id, webhook_id
          ), webhook_queued AS (
            INSERT INTO webhook_queue (delivery_id, webhook_id, run_at)
            SELECT id, webhook_id, now() FROM webhook_delivery
          )`;
}

/**
 * SQL: the same for events about letters.
 * @param rows a query for tenant_id, type, at, email_id, recipient (or null, where it is the whole letter), data (jsonb)
 */
export function emailWebhookEvents(rows: string): string {
  return webhookEvents(`
    SELECT tenant_id, type, at, email_id, recipient, NULL::uuid AS user_id, data FROM (${rows}) AS email_event`);
}

/**
 * SQL: takes addresses out of what was written down for endpoints. What is still to be sent goes without them.
 * @param rows a query for tenant_id, address
 * @param replacement a literal
 */
export function forgetRecipients(rows: string, replacement: string): string {
  return `UPDATE webhook_deliveries d SET recipient = '${replacement}', data = NULL
          FROM (${rows}) AS forgotten
          WHERE d.tenant_id = forgotten.tenant_id AND lower(d.recipient) = lower(forgotten.address)
            AND d.recipient IS NOT NULL`;
}
