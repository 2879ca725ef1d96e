import { auditRecord } from '../audit/record.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { suppressUnsubscribed } from '../suppressions/suppression.ts';
import { emailWebhookEvents } from '../webhooks/events.ts';
import { unsubscribeLinkInvalid } from './errors.ts';
import { readUnsubscribeToken, type Subscription } from './unsubscribe-token.ts';

/** @throws unsubscribeLinkInvalid */
export function readSubscription(secrets: Secrets, token: string): Subscription {
  const subscription = readUnsubscribeToken(secrets, token);
  if (!subscription) throw unsubscribeLinkInvalid({ detail: 'Use the link as it stands in the letter.' });
  return subscription;
}

/**
 * Stops a tenant's bulk mail to whoever got the link. Again changes nothing.
 * @throws unsubscribeLinkInvalid
 */
export async function unsubscribe({ db, secrets }: { db: Database; secrets: Secrets }, token: string): Promise<void> {
  await writeUnsubscription(db, readSubscription(secrets, token));
}

async function writeUnsubscription(db: Database, { tenantId, emailId, address }: Subscription): Promise<void> {
  await db`
    WITH reader AS (
      SELECT ${tenantId}::uuid AS tenant_id, ${emailId}::uuid AS email_id, ${address}::text AS address
    ), listed AS (
      ${db.unsafe(suppressUnsubscribed('SELECT * FROM reader'))}
    ), event AS MATERIALIZED (
      -- Where its history was purged the letter has no timeline to be told in.
      SELECT reader.*, e.id AS letter_id, now() AS at
      FROM listed, reader LEFT JOIN emails e ON e.id = reader.email_id AND e.tenant_id = reader.tenant_id
    ), events AS (
      INSERT INTO email_events (email_id, id, type, at, recipient)
      SELECT letter_id, new_uuid7(), 'email.unsubscribed', at, address FROM event WHERE letter_id IS NOT NULL
    ), ${db.unsafe(
      emailWebhookEvents(`
        SELECT tenant_id, 'email.unsubscribed' AS type, at, email_id, address AS recipient, NULL::jsonb AS data
        FROM event`),
    )}, ${auditRecord(db, { tenantId, type: 'suppression.unsubscribed', data: { email: emailId } }, db`FROM event`)}
    SELECT`;
}
