import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
import { emailWebhookEvents, forgetRecipients } from '../webhooks/events.ts';
import { countRecipients } from './counters.ts';

/** Nobody's address: RFC 2606 keeps `.invalid` unused. */
const nobody = 'deleted@deleted.invalid';

/**
 * Takes a person out of a tenant's mail history, in the caller's transaction: Postern's letters about the user, and
 * everybody's letters to the address. Unsent ones are canceled, for there is nobody left to send them to; a worker that
 * just holds one loses its lease with the queue row. A letter to several people loses this one and goes on to the others,
 * whose history it stays.
 */
export async function anonymizeEmails(
  db: Queryable,
  { tenantId, userId, address = nobody }: { tenantId: string; userId: string; address?: string },
): Promise<void> {
  await holdInQueue(db, tenantId, userId, address);
  const ids = await eraseRecipient(db, tenantId, userId, address);
  if (ids.length === 0) return;
  await endLetters(db, ids);
  await scrubLetters(db, ids);
}

/** Whoever settles a letter takes its queue row first; in another order each could wait for the other. */
async function holdInQueue(db: Queryable, tenantId: string, userId: string, address: string): Promise<void> {
  await db`
    SELECT FROM email_queue q
    WHERE q.email_id IN (
      SELECT e.id FROM emails e WHERE e.user_id = ${userId} AND e.tenant_id = ${tenantId}
      UNION
      SELECT r.email_id FROM email_recipients r JOIN emails e ON e.id = r.email_id
      WHERE lower(r.address) = lower(${address}) AND e.tenant_id = ${tenantId})
    ORDER BY q.email_id FOR UPDATE`;
}

/** Returns the letters it touched. The name and the reply may repeat the address. */
async function eraseRecipient(db: Queryable, tenantId: string, userId: string, address: string): Promise<string[]> {
  const rows = await db<{ email_id: string }[]>`
    WITH theirs AS (
      SELECT r.email_id, r.position, r.address, r.status, e.tenant_id
      FROM emails e JOIN email_recipients r ON r.email_id = e.id
      WHERE e.user_id = ${userId} AND e.tenant_id = ${tenantId}
      UNION
      SELECT r.email_id, r.position, r.address, r.status, e.tenant_id
      FROM email_recipients r JOIN emails e ON e.id = r.email_id
      WHERE lower(r.address) = lower(${address}) AND e.tenant_id = ${tenantId}
    ), events AS (
      UPDATE email_events v SET recipient = ${nobody}, data = NULL FROM theirs
      WHERE v.email_id = theirs.email_id AND v.recipient = theirs.address
    ), webhook_rows AS (
      ${db.unsafe(forgetRecipients('SELECT tenant_id, address FROM theirs', nobody))}
    ), counters AS (
      ${db.unsafe(
        countRecipients(`SELECT tenant_id, now() AS at, 'canceled' AS type FROM theirs
                         WHERE status IN ('scheduled', 'queued', 'sending', 'deferred')`),
      )}
    )
    UPDATE email_recipients r SET
      address = ${nobody}, name = NULL, reply_text = NULL, next_attempt_at = NULL,
      status = CASE WHEN r.status IN ('scheduled', 'queued', 'sending', 'deferred') THEN 'canceled' ELSE r.status END
    FROM theirs WHERE r.email_id = theirs.email_id AND r.position = theirs.position
    RETURNING r.email_id`;
  return [...new Set(rows.map((row) => row.email_id))];
}

/** Ends those with nobody left to go to. */
async function endLetters(db: Queryable, ids: string[]): Promise<void> {
  await db`
    WITH ended AS (
      UPDATE emails e SET status = CASE
        WHEN EXISTS (SELECT FROM email_recipients r WHERE r.email_id = e.id AND r.status IN ('sent', 'delivered'))
        THEN 'sent' ELSE 'canceled' END
      WHERE e.id = ANY(${ids}::uuid[]) AND e.status IN ('scheduled', 'queued', 'sending', 'deferred')
        AND NOT EXISTS (SELECT FROM email_recipients r WHERE r.email_id = e.id
                        AND r.status IN ('scheduled', 'queued', 'sending', 'deferred'))
      RETURNING e.id, e.tenant_id
    ), queue AS (
      DELETE FROM email_queue q USING ended WHERE q.email_id = ended.id
    ), ${db.unsafe(
      emailWebhookEvents(`
        SELECT tenant_id, 'email.canceled' AS type, now() AS at, id AS email_id, NULL AS recipient, NULL::jsonb AS data
        FROM ended`),
    )}
    INSERT INTO email_events (email_id, id, type, at)
    SELECT ended.id, fresh.id, 'email.canceled', now()
    FROM ended JOIN unnest(${ids}::uuid[], ${ids.map(() => newId())}::uuid[]) AS fresh (email_id, id)
      ON fresh.email_id = ended.id`;
}

/** Empties those that went to nobody else. */
async function scrubLetters(db: Queryable, ids: string[]): Promise<void> {
  await db`
    WITH theirs AS (
      SELECT e.id FROM emails e
      WHERE e.id = ANY(${ids}::uuid[])
        AND NOT EXISTS (SELECT FROM email_recipients r WHERE r.email_id = e.id AND r.address <> ${nobody})
    ), bodies AS (
      UPDATE email_bodies b SET reply_to = NULL, headers = NULL, text_body = NULL, html_body = NULL, sealed = NULL,
                                attachments = NULL
      FROM theirs WHERE b.email_id = theirs.id
    ), attachments AS (
      DELETE FROM email_attachments a USING theirs WHERE a.email_id = theirs.id
    ), events AS (
      UPDATE email_events v SET data = NULL FROM theirs WHERE v.email_id = theirs.id AND v.type <> 'email.canceled'
    )
    UPDATE emails e SET subject = '(deleted)', metadata = NULL, tags = NULL, user_id = NULL
    FROM theirs WHERE e.id = theirs.id`;
}
