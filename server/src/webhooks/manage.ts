/** What may be done with endpoints. Every change leaves an audit record in its own transaction. */
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { tooManyWebhooks, urlRefused, webhookNotFound } from './errors.ts';
import { newSecret, sealSecret } from './secret.ts';
import {
  endWaiting,
  findWebhook,
  insertWebhook,
  removeWebhook,
  replaceSecret,
  updateWebhook,
  type WebhookChange,
} from './store.ts';
import { readTarget, type TargetPolicy } from './target.ts';
import type { Webhook } from './webhook.ts';

export interface ManageWorld {
  db: Database;
  secrets: Secrets;
  targetPolicy: TargetPolicy;
  recordAudit: (db: Queryable, record: WebhookRecord) => Promise<void>;
}

export interface WebhookRecord {
  tenantId: string;
  type: 'webhook.created' | 'webhook.updated' | 'webhook.secret_rotated' | 'webhook.deleted';
  actor: string;
  data: { webhook: string };
}

/** Every event is written once for each endpoint, so there is a limit to them. */
export const maxWebhooks = 50;

export function isId(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}

/** @throws webhookNotFound, in the same words whether the id is malformed, absent, or of another tenant (S41) */
export async function readWebhook(db: Queryable, { tenantId }: Caller, id: string): Promise<Webhook> {
  return found(isId(id) ? await findWebhook(db, tenantId, id) : undefined);
}

/**
 * @returns with its secret, which is shown this once
 * @throws urlRefused, tooManyWebhooks
 */
export async function createWebhook(
  world: ManageWorld,
  caller: Caller,
  input: { url: string; events: string[] | null; description: string | null },
): Promise<Webhook & { secret: string }> {
  const { tenantId } = caller;
  const url = checkUrl(world, input.url);
  checkDescription(input.description);
  const secret = newSecret();
  const webhook = { ...input, url, id: newId(), tenantId, secretSealed: sealSecret(world.secrets, secret) };
  const made = await changing(world, caller, 'webhook.created', (tx) => insertWebhook(tx, webhook, maxWebhooks));
  if (!made) throw tooManyWebhooks({ detail: `A tenant has at most ${maxWebhooks} webhooks. Delete one first.` });
  return { ...made, secret };
}

/** @throws webhookNotFound, urlRefused */
export async function changeWebhook(
  world: ManageWorld,
  caller: Caller,
  id: string,
  change: WebhookChange,
): Promise<Webhook> {
  const { id: known } = await readWebhook(world.db, caller, id);
  const { url, ...rest } = change;
  if (rest.description !== undefined) checkDescription(rest.description);
  const checked = url === undefined ? rest : { ...rest, url: checkUrl(world, url) };
  const changed = await changing(world, caller, 'webhook.updated', async (tx) => {
    const row = await updateWebhook(tx, caller.tenantId, known, checked);
    if (row && change.isEnabled === false) await endWaiting(tx, known);
    return row;
  });
  return found(changed);
}

/** @throws webhookNotFound */
export async function rotateSecret(
  world: ManageWorld,
  caller: Caller,
  id: string,
  overlapSeconds: number,
): Promise<Webhook & { secret: string }> {
  const { id: known } = await readWebhook(world.db, caller, id);
  const secret = newSecret();
  const secretSealed = sealSecret(world.secrets, secret);
  const changed = await changing(world, caller, 'webhook.secret_rotated', (tx) =>
    replaceSecret(tx, caller.tenantId, known, { secretSealed, overlapSeconds }),
  );
  return { ...found(changed), secret };
}

/** @throws webhookNotFound */
export async function deleteWebhook(world: ManageWorld, caller: Caller, id: string): Promise<void> {
  const webhook = await readWebhook(world.db, caller, id);
  const removed = await changing(world, caller, 'webhook.deleted', async (tx) =>
    (await removeWebhook(tx, caller.tenantId, webhook.id)) ? webhook : undefined,
  );
  found(removed);
}

async function changing(
  { db, recordAudit }: ManageWorld,
  { tenantId, name: actor }: Caller,
  type: WebhookRecord['type'],
  work: (tx: Queryable) => Promise<Webhook | undefined>,
): Promise<Webhook | undefined> {
  const changed = await db.begin(async (tx) => {
    const webhook = await work(tx);
    if (webhook) await recordAudit(tx, { tenantId, type, actor, data: { webhook: webhook.id } });
    return { webhook };
  });
  return changed.webhook as Webhook | undefined;
}

function found(webhook: Webhook | undefined): Webhook {
  if (!webhook) throw webhookNotFound({ detail: 'No webhook of yours has this id.' });
  return webhook;
}

function checkUrl({ targetPolicy }: ManageWorld, text: string): string {
  try {
    return readTarget(targetPolicy, text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw urlRefused({ detail: `url: ${message}.`, errors: [{ path: 'url', message }] });
  }
}

/** PostgreSQL keeps neither NUL nor half a surrogate pair. */
function checkDescription(text: string | null): void {
  if (text === null || (!text.includes('\0') && text.isWellFormed())) return;
  const message = 'must be plain Unicode text';
  throw invalidRequest({ detail: `description: ${message}.`, errors: [{ path: 'description', message }] });
}
