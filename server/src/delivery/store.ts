/**
 * SQL of delivery: what a worker loads and what it writes back. Loading and settling are planned once for each
 * connection, which costs as much as writing forty outcomes does; so they are meant for a pool that plans by indexes
 * alone (`connectDatabase`), whatever the tables were like at that moment.
 */
import type { Database } from '../database/database.ts';
import type { Attachment } from '../emails/attachments.ts';
import { countRecipients } from '../emails/counters.ts';
import type { EmailStatus, Lane, OnUncertain } from '../emails/email.ts';
import { type SuppressionReason, suppressBounced, suppressionOf } from '../suppressions/suppression.ts';
import { notReached } from '../transport/transport.ts';
import { emailWebhookEvents } from '../webhooks/events.ts';

export interface LetterRow {
  id: string;
  tenant_id: string;
  lane: Lane;
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
  /** Null for a letter without; `readAttachment` reads what they hold. */
  attachments: Attachment[] | null;
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
    `SELECT id, tenant_id, lane, message_id, mail_from, subject, on_uncertain, created_at, expires_at, reply_to, headers, text_body,
            html_body, sealed, attachments,
            (SELECT json_agg(json_build_object('position', r.position, 'kind', r.kind, 'address', r.address,
                                               'name', r.name, 'status', r.status,
                                               'suppression', ${suppressionOf('letter.tenant_id', 'r.address', "letter.lane = 'bulk'")})
                             ORDER BY r.position)
             FROM email_recipients r WHERE r.email_id = letter.id) AS recipients
     FROM (
       SELECT e.*, b.reply_to, b.headers, b.text_body, b.html_body, b.sealed, b.attachments, size.bytes, wanted.place,
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
    asked,
  );
}

/** What becomes of a letter after an attempt, or without one. Plain data: the journal keeps it as JSON. */
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
  at: string;
  /** Those whose lot has changed. */
  recipients: RecipientOutcome[];
}

export interface RecipientOutcome {
  position: number;
  status: EmailStatus;
  /** 0 where nobody was asked to take it for this one. */
  attempts: 0 | 1;
  reply_code: number | null;
  reply_enhanced: string | null;
  reply_text: string | null;
  next_attempt_at: string | null;
  /** Null where nothing has happened but that it waits: its destination rests. */
  event: {
    id: string;
    /** Without the `email.` before it. */
    type: string;
    /** Null: the reply. */
    data: Record<string, unknown> | null;
  } | null;
  /** What the address itself was refused with for good, if it was. */
  refused: string | null;
}

const asked = { prepare: true };

const recipientColumns = `
  position smallint, status text, attempts integer, next_attempt_at timestamptz, reply_code smallint,
  reply_enhanced text, reply_text text, event_id uuid, type text, data jsonb, refused text`;

/**
 * One row for each letter, with the outcome of its first recipient; those of others stand in `more`. What is left out is
 * as it is for a letter to one recipient that was sent.
 */
export const settleStatement = `
  WITH outcome AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::text::json) AS t (
      email_id uuid, lease_token uuid, run_at timestamptz, letter_status text, has_seal boolean,
      letter_attempts integer, at timestamptz, more json, ${recipientColumns})
  ), ended AS (
    DELETE FROM email_queue q USING outcome o
    WHERE q.email_id = o.email_id AND q.lease_token = o.lease_token AND o.run_at IS NULL
    RETURNING o.*, q.tenant_id
  ), retimed AS (
    UPDATE email_queue q
    SET run_at = o.run_at, lease_token = NULL, claims = 0, attempts = q.attempts + coalesce(o.letter_attempts, 1)
    FROM outcome o
    WHERE q.email_id = o.email_id AND q.lease_token = o.lease_token AND o.run_at IS NOT NULL
    RETURNING o.*, q.tenant_id
  ), letter AS MATERIALIZED (
    SELECT * FROM ended UNION ALL SELECT * FROM retimed
  ), held AS (
    SELECT tenant_id, email_id, at, coalesce(position, 0::smallint) AS position, status, attempts, next_attempt_at, reply_code,
           reply_enhanced, reply_text, event_id, type, data, refused
    FROM letter WHERE status IS NOT NULL
    UNION ALL
    SELECT tenant_id, email_id, at, m.*
    FROM letter CROSS JOIN json_to_recordset(letter.more) AS m (${recipientColumns})
    -- The range is for the planner, who else expects a hundred rows of each letter and then looks through all recipients
    -- there are rather than for each of these.
    WHERE letter.more IS NOT NULL AND m.position BETWEEN 1 AND 32767
  ), recipient AS (
    UPDATE email_recipients r
    SET status = held.status, attempts = r.attempts + coalesce(held.attempts, 1), next_attempt_at = held.next_attempt_at,
        -- A letter that was put off keeps what was said to it.
        reply_code = CASE WHEN held.event_id IS NULL THEN r.reply_code ELSE held.reply_code END,
        reply_enhanced = CASE WHEN held.event_id IS NULL THEN r.reply_enhanced ELSE held.reply_enhanced END,
        reply_text = CASE WHEN held.event_id IS NULL THEN coalesce(r.reply_text, held.reply_text) ELSE held.reply_text END
    FROM held
    WHERE r.email_id = held.email_id AND r.position = held.position AND r.status IN ('scheduled', 'queued', 'deferred')
    RETURNING held.tenant_id, held.email_id, r.address, held.at, coalesce(held.type, held.status) AS type, held.event_id,
      held.refused, coalesce(held.data, jsonb_build_object('code', held.reply_code, 'enhanced', held.reply_enhanced,
                                                           'text', held.reply_text)) AS data
  ), event AS (
    SELECT tenant_id, 'email.' || type AS type, at, email_id, address AS recipient, data, event_id FROM recipient
    WHERE event_id IS NOT NULL
  ), events AS (
    INSERT INTO email_events (email_id, id, type, at, recipient, data)
    SELECT email_id, event_id, type, at, recipient, data FROM event
  ), ${emailWebhookEvents('SELECT tenant_id, type, at, email_id, recipient, data FROM event')}, suppressed AS (
    ${suppressBounced('SELECT tenant_id, address, refused AS detail, email_id FROM recipient WHERE refused IS NOT NULL')}
  ), counters AS (
    ${countRecipients(`
      SELECT tenant_id, at, CASE type WHEN 'delivery_delayed' THEN 'deferred' ELSE type END AS type
      FROM recipient WHERE event_id IS NOT NULL`)}
  ), seals AS (
    UPDATE email_bodies b SET sealed = NULL
    FROM letter
    WHERE letter.has_seal AND letter.run_at IS NULL AND b.email_id = letter.email_id
  ), emails AS (
    UPDATE emails e SET status = coalesce(letter.letter_status, letter.status)
    FROM letter
    WHERE e.id = letter.email_id AND e.status <> coalesce(letter.letter_status, letter.status)
      AND e.status IN ('scheduled', 'queued', 'deferred')
  )
  SELECT email_id, lease_token FROM letter`;

/**
 * Writes outcomes together. A letter whose lease has passed to another worker is left as that worker has it (F9), and
 * what has reached its end stays there.
 * @returns fencing tokens and ids of the letters that were written, see `outcomeKey`
 */
export async function writeSettlements(db: Database, settlements: Settlement[]): Promise<Set<string>> {
  const outcomes = JSON.stringify(settlements.map(outcomeRow));
  const rows: { email_id: string; lease_token: string }[] = await db.unsafe(settleStatement, [outcomes], asked);
  return new Set(rows.map((row) => outcomeKey(row.email_id, row.lease_token)));
}

/** One letter may stand in a journal twice, under two leases. */
export function outcomeKey(emailId: string, leaseToken: string): string {
  return `${emailId} ${leaseToken}`;
}

/** Each field costs both sides as much as a hundred characters, so those are left out that are as they mostly are. */
function outcomeRow({ letter, at, recipients }: Settlement): Record<string, unknown> {
  const [first, ...more] = recipients;
  const row: Record<string, unknown> = { email_id: letter.id, lease_token: letter.lease_token, at };
  if (letter.run_at !== null) row.run_at = letter.run_at;
  if (letter.has_seal) row.has_seal = true;
  if (letter.attempts === 0) row.letter_attempts = 0;
  if (letter.status !== first?.status) row.letter_status = letter.status;
  if (more.length > 0) row.more = more.map((one) => recipientFields(one, {}));
  return first ? recipientFields(first, row) : row;
}

function recipientFields(one: RecipientOutcome, fields: Record<string, unknown>): Record<string, unknown> {
  const { position, status, attempts, event, reply_code, reply_enhanced, reply_text, next_attempt_at, refused } = one;
  fields.status = status;
  if (position > 0) fields.position = position;
  if (attempts === 0) fields.attempts = 0;
  if (reply_code !== null) fields.reply_code = reply_code;
  if (reply_enhanced !== null) fields.reply_enhanced = reply_enhanced;
  if (reply_text !== null) fields.reply_text = reply_text;
  if (next_attempt_at !== null) fields.next_attempt_at = next_attempt_at;
  if (refused !== null) fields.refused = refused;
  if (event === null) return fields;
  fields.event_id = event.id;
  if (event.type !== status) fields.type = event.type;
  if (event.data !== null) fields.data = event.data;
  return fields;
}

/** Of these letters, those that are still to be delivered. */
export async function findQueued(db: Database, ids: string[]): Promise<string[]> {
  const rows: { email_id: string }[] = await db.unsafe(
    'SELECT email_id FROM email_queue WHERE email_id = ANY($1::uuid[])',
    [`{${ids.join(',')}}`],
  );
  return rows.map((row) => row.email_id);
}

/** Drops queue rows whose letter no longer exists. */
export async function dropOrphans(db: Database, ids: string[]): Promise<void> {
  await db.unsafe(
    `DELETE FROM email_queue q WHERE email_id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM emails e WHERE e.id = q.email_id)`,
    [`{${ids.join(',')}}`],
  );
}

/** Gives letters back whose delivery was not begun, to be taken again after about so many seconds. */
export async function postpone(
  db: Database,
  claims: { id: string; leaseToken: string }[],
  seconds: number,
): Promise<void> {
  if (claims.length === 0) return;
  await db.unsafe(
    `UPDATE email_queue q
     SET run_at = now() + make_interval(secs => $2::float8 * (1 + random())), lease_token = NULL,
         claims = greatest(q.claims - 1, 0)
     FROM json_to_recordset($1::text::json) AS held ("id" uuid, "leaseToken" uuid)
     WHERE q.email_id = held.id AND q.lease_token = held."leaseToken"`,
    [JSON.stringify(claims.map(({ id, leaseToken }) => ({ id, leaseToken }))), seconds],
  );
}

/**
 * Makes letters due whose last attempt did not reach any server, and gives them that attempt back: the trouble was the
 * relay's, and it is over.
 */
export async function hastenUnreached(db: Database): Promise<number> {
  const rows = await db.unsafe(
    `UPDATE email_queue q SET run_at = now(), attempts = greatest(q.attempts - 1, 0)
     WHERE q.lease_token IS NULL AND q.attempts > 0 AND q.run_at > now() AND NOT q.is_offered
       AND EXISTS (SELECT FROM email_recipients r
                   WHERE r.email_id = q.email_id AND r.status = 'deferred' AND r.reply_code IS NULL AND r.reply_enhanced = $1)
     RETURNING 1`,
    [notReached],
  );
  return rows.length;
}
