/** Sending by hand: a test event, a delivery once more, all that failed. Each ends the endpoint's rest. */
import type { Database, Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { type DeliveryRow, findDelivery, insertTest, requeueDelivery, requeueFailed } from './delivery-store.ts';
import { deliveryNotFound, webhookDisabled } from './errors.ts';
import { isId, readWebhook } from './manage.ts';
import { endRest } from './store.ts';
import type { Webhook } from './webhook.ts';

const maxAtOnce = 10_000;

/** @throws webhookNotFound, deliveryNotFound, in the same words whether malformed, absent, or of another (S41) */
export async function readDelivery(
  db: Queryable,
  caller: Caller,
  { id, delivery }: { id: string; delivery: string },
): Promise<{ webhook: Webhook; delivery: DeliveryRow }> {
  const webhook = await readWebhook(db, caller, id);
  const row = isId(delivery) ? await findDelivery(db, webhook.id, delivery) : undefined;
  if (!row) throw deliveryNotFound({ detail: 'This webhook has no such delivery; they are kept for a month or two.' });
  return { webhook, delivery: row };
}

/**
 * @returns the id of the delivery
 * @throws webhookNotFound, webhookDisabled
 */
export async function sendTest(db: Database, caller: Caller, id: string): Promise<string> {
  const webhook = await readWebhook(db, caller, id);
  checkEnabled(webhook);
  const delivery = await insertTest(db, { webhookId: webhook.id, tenantId: webhook.tenantId });
  await endRest(db, webhook.id);
  return delivery;
}

/** @throws webhookNotFound, deliveryNotFound, webhookDisabled */
export async function redeliver(
  db: Database,
  caller: Caller,
  ids: { id: string; delivery: string },
): Promise<DeliveryRow> {
  const { webhook, delivery } = await readDelivery(db, caller, ids);
  checkEnabled(webhook);
  await requeueDelivery(db, webhook.id, delivery.id);
  await endRest(db, webhook.id);
  return delivery;
}

/** @throws webhookNotFound, webhookDisabled, invalidRequest */
export async function redeliverFailed(
  db: Database,
  caller: Caller,
  id: string,
  since: string,
): Promise<{ count: number; has_more: boolean }> {
  const webhook = await readWebhook(db, caller, id);
  checkEnabled(webhook);
  const count = await requeueFailed(db, webhook.id, { since: readInstant(since), max: maxAtOnce });
  await endRest(db, webhook.id);
  return { count, has_more: count === maxAtOnce };
}

function checkEnabled({ disabledAt }: Webhook): void {
  if (disabledAt !== null) throw webhookDisabled({ detail: 'Enable it first: PATCH it with {"enabled": true}.' });
}

function readInstant(text: string): Date {
  const isInstant = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text);
  const at = new Date(isInstant ? text : Number.NaN);
  if (!Number.isNaN(at.getTime()) && at.getTime() >= 0) return at;
  const message = 'must be an RFC 3339 time with offset, e.g. 2030-01-31T09:00:00Z';
  throw invalidRequest({ detail: `since: ${message}`, errors: [{ path: 'since', message }] });
}
