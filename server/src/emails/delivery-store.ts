/**
 * SQL of delivery: what a worker loads and what it writes back. Unprepared, for the reason given in queue/postgres.ts;
 * with partitions the planner must also see which of them the ids are in.
 */
import type { Database } from '../database/database.ts';
import { type SuppressionReason, suppressBounced, suppressionOf } from '../suppressions/suppression.ts';
import { notReached } from '../transport/transport.ts';
import { countRecipients } from './counters.ts';
import type { EmailStatus, OnUncertain } from './email.ts';

export interface LetterRow {
  id: string;
  message_id: string;
  mail_from: string;
  subject: string;
  on_uncertain: OnUncertain;
  created_at: Date;
  expires_at: Date | null;
  reply_to: string[] | null;
  headers: Record<string, string> | null;
  text_body: string | null;
  html_body: string | null;
  sealed: Uint8Array | null;
  recipients: LetterRecipient[];
}

export interface LetterRecipient {
  position: number;
  kind: 'to' | 'cc' | 'bcc';
  address: string;
  name: string | null;
  status: EmailStatus;
  /** Why the tenant sends nothing to this address, if so. */
  suppression: SuppressionReason | null;
}

/**
 * Loads letters in the order of `ids`, as many as fit into `maxBytes` of bodies but at least one. Ids without a letter
 * (its history was purged) are passed over.
 */
export async function loadLetters(db: Database, ids: string[], maxBytes: number): Promise<LetterRow[]> {
  return db.unsafe(
    `SELECT id, message_id, mail_from, subject, on_uncertain, created_at, expires_at, reply_to, headers, text_body,
            html_body, sealed,
            (SELECT json_agg(json_build_object('position', r.position, 'kind', r.kind, 'address', r.address,
                                               'name', r.name, 'status', r.status,
                                               'suppression', ${suppressionOf('letter.tenant_id', 'r.address')})
                             ORDER BY r.position)
             FROM email_recipients r WHERE r.email_id = letter.id) AS recipients
     FROM (
       SELECT e.*, b.reply_to, b.headers, b.text_body, b.html_body, b.sealed, size.bytes, wanted.place,
              sum(size.bytes) OVER (ORDER BY wanted.place) AS running_bytes
       FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
       JOIN emails e ON e.id = wanted.id
       JOIN email_bodies b ON b.email_id = wanted.id,
       -- Read off the TOAST pointers; nothing is fetched for it.
       LATERAL (SELECT coalesce(octet_length(b.text_body), 0) + coalesce(octet_length(b.html_body), 0)
                       + coalesce(octet_length(b.sealed), 0) AS bytes) AS size
     ) AS letter
     WHERE running_bytes - bytes < $2::bigint
     ORDER BY place`,
    [`{${ids.join(',')}}`, maxBytes],
  );
}

/** What becomes of a letter after an attempt, or without one. */
export interface Settlement {
  letter: {
    id: string;
    lease_token: string;
    /** Null when the letter has reached its end. */
    run_at: string | null;
    status: EmailStatus;
    /** Whether its real text is sealed, and to be dropped at the end. */
    has_seal: boolean;
    /** Attempts this settlement counts for. */
    attempts: 0 | 1;
  };
  recipients: {
    position: number;
    status: EmailStatus;
    reply_code: number | null;
    reply_enhanced: string | null;
    reply_text: string | null;
    next_attempt_at: string | null;
    /** Where it is not the letter's: nobody was asked to take it for this one. */
    attempts?: 0;
  }[];
  events: { id: string; type: string; at: string; recipient: string | null; data: Record<string, unknown> | null }[];
  /** Addresses that were refused for good, with the reply. */
  refused: { address: string; detail: string }[];
}

/**
 * Writes outcomes together. A letter whose lease has passed to another worker is left as that worker has it (F9), and
 * what has reached its end stays there.
 * @returns ids of the letters that were written
 */
export async function writeSettlements(db: Database, settlements: Settlement[]): Promise<Set<string>> {
  const letters = settlements.map(({ letter }) => letter);
  const recipients = settlements.flatMap(({ letter, recipients }) =>
    recipients.map((one) => ({ email_id: letter.id, attempts: letter.attempts, ...one })),
  );
  const events = settlements.flatMap(({ letter, events }) => events.map((one) => ({ email_id: letter.id, ...one })));
  const refused = settlements.flatMap(({ letter, refused }) => refused.map((one) => ({ email_id: letter.id, ...one })));
  const rows: { email_id: string }[] = await db.unsafe(
    `WITH letter AS MATERIALIZED (
       SELECT * FROM json_to_recordset($1::text::json) AS t (
         id uuid, lease_token uuid, run_at timestamptz, status text, has_seal boolean, attempts integer)
     ), ended AS (
       DELETE FROM email_queue q USING letter l
       WHERE q.email_id = l.id AND q.lease_token = l.lease_token AND l.run_at IS NULL
       RETURNING q.email_id, q.tenant_id, l.status, l.has_seal
     ), retimed AS (
       UPDATE email_queue q
       SET run_at = l.run_at, lease_token = NULL, claims = 0, attempts = q.attempts + l.attempts
       FROM letter l
       WHERE q.email_id = l.id AND q.lease_token = l.lease_token AND l.run_at IS NOT NULL
       RETURNING q.email_id, q.tenant_id, l.status, false AS has_seal
     ), held AS MATERIALIZED (
       SELECT * FROM ended UNION ALL SELECT * FROM retimed
     ), recipients AS (
       UPDATE email_recipients r
       SET status = t.status, attempts = r.attempts + t.attempts, next_attempt_at = t.next_attempt_at,
           reply_code = t.reply_code, reply_enhanced = t.reply_enhanced, reply_text = t.reply_text
       FROM json_to_recordset($2::text::json) AS t (
              email_id uuid, position smallint, status text, attempts integer, next_attempt_at timestamptz,
              reply_code smallint, reply_enhanced text, reply_text text)
       JOIN held USING (email_id)
       WHERE r.email_id = t.email_id AND r.position = t.position AND r.status IN ('scheduled', 'queued', 'deferred')
     ), event AS MATERIALIZED (
       SELECT held.tenant_id, t.*
       FROM json_to_recordset($3::text::json) AS t (
              email_id uuid, id uuid, type text, at timestamptz, recipient text, data jsonb)
       JOIN held USING (email_id)
     ), events AS (
       INSERT INTO email_events (email_id, id, type, at, recipient, data)
       SELECT email_id, id, type, at, recipient, data FROM event
     ), suppressed AS (
       ${suppressBounced(`
         SELECT held.tenant_id, t.address, t.detail, email_id
         FROM json_to_recordset($4::text::json) AS t (email_id uuid, address text, detail text)
         JOIN held USING (email_id)`)}
     ), counters AS (
       ${countRecipients(`
         SELECT tenant_id, at,
                CASE type WHEN 'email.delivery_delayed' THEN 'deferred' ELSE substr(type, length('email.') + 1) END AS type
         FROM event`)}
     ), seals AS (
       UPDATE email_bodies b SET sealed = NULL FROM held WHERE held.has_seal AND b.email_id = held.email_id
     ), emails AS (
       UPDATE emails e SET status = held.status FROM held
       WHERE e.id = held.email_id AND e.status <> held.status AND e.status IN ('scheduled', 'queued', 'deferred')
     )
     SELECT email_id FROM held`,
    [JSON.stringify(letters), JSON.stringify(recipients), JSON.stringify(events), JSON.stringify(refused)],
  );
  return new Set(rows.map((row) => row.email_id));
}

/** Drops queue rows whose letter no longer exists. */
export async function dropOrphans(db: Database, ids: string[]): Promise<void> {
  await db.unsafe(
    `DELETE FROM email_queue q WHERE email_id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM emails e WHERE e.id = q.email_id)`,
    [`{${ids.join(',')}}`],
  );
}

/**
 * Makes letters due whose last attempt did not reach any server, and gives them that attempt back: the trouble was the
 * relay's, and it is over.
 */
export async function hastenUnreached(db: Database): Promise<number> {
  const rows = await db.unsafe(
    `UPDATE email_queue q SET run_at = now(), attempts = greatest(q.attempts - 1, 0)
     WHERE q.lease_token IS NULL AND q.attempts > 0 AND q.run_at > now()
       AND EXISTS (SELECT FROM email_recipients r
                   WHERE r.email_id = q.email_id AND r.status = 'deferred' AND r.reply_code IS NULL AND r.reply_enhanced = $1)
     RETURNING 1`,
    [notReached],
  );
  return rows.length;
}
