/** SQL of accepting letters, of their history, and of what callers may still change about them. */
import { column, type Queryable } from '../database/database.ts';
import { leaseSeconds } from '../queue/queue.ts';
import { type SuppressionReason, suppressionOf } from '../suppressions/suppression.ts';
import { emailWebhookEvents } from '../webhooks/events.ts';
import { countRecipients } from './counters.ts';
import type { Lane, OnUncertain, Tag } from './email.ts';

/** SQL: the number that the queue knows a lane by, so that the most urgent comes first. */
const laneNumber = "CASE lane WHEN 'otp' THEN 0 WHEN 'transactional' THEN 1 ELSE 2 END";

/**
 * A row of `emails` with what belongs to it one to one; instants as RFC 3339 text. What is absent is null, or as most
 * letters have it: what no letter of a batch has costs nothing.
 */
export interface EmailRow {
  id: string;
  tenant_id: string;
  user_id?: string | undefined;
  submitted_by?: string | undefined;
  message_id: string;
  mail_from: string;
  subject: string;
  lane: Lane;
  tags?: Tag[] | undefined;
  metadata?: Record<string, unknown> | undefined;
  /** Absent: `retry`. */
  on_uncertain?: OnUncertain | undefined;
  /** Only where it lies ahead: the letter is `scheduled`. */
  scheduled_at?: string | undefined;
  expires_at?: string | undefined;
  reply_to?: string[] | undefined;
  headers?: Record<string, string> | undefined;
  text_body?: string | undefined;
  html_body?: string | undefined;
  sealed?: string | undefined;
  /** What it counts for where tenants share the queue. Absent: 1. */
  cost?: number | undefined;
  /** Of the lease under which it is queued, where a worker is to have it at once. */
  lease_token?: string | undefined;
}

export interface SuppressedRecipient {
  email_id: string;
  position: number;
  suppression: SuppressionReason;
}

export interface RecipientRow {
  email_id: string;
  tenant_id: string;
  /** Absent: 0. */
  position?: number | undefined;
  /** Absent: `to`. */
  kind?: 'cc' | 'bcc' | undefined;
  address: string;
  name?: string | undefined;
  /** Absent: not. */
  is_bulk?: true | undefined;
}

/** What most letters do not have costs nothing where it stands behind what they all have: see `column`. */
const emailColumns: [name: string, type: string, value: (row: EmailRow) => string | number | undefined][] = [
  ['id', 'uuid', (row) => row.id],
  ['tenant_id', 'uuid', (row) => row.tenant_id],
  ['submitted_by', 'text', (row) => row.submitted_by],
  ['message_id', 'text', (row) => row.message_id],
  ['mail_from', 'text', (row) => row.mail_from],
  ['subject', 'text', (row) => row.subject],
  ['lane', 'text', (row) => row.lane],
  ['text_body', 'text', (row) => row.text_body],
  ['html_body', 'text', (row) => row.html_body],
  ['user_id', 'uuid', (row) => row.user_id],
  ['tags', 'jsonb', (row) => json(row.tags)],
  ['metadata', 'jsonb', (row) => json(row.metadata)],
  ['on_uncertain', 'text', (row) => row.on_uncertain],
  ['scheduled_at', 'timestamptz', (row) => row.scheduled_at],
  ['expires_at', 'timestamptz', (row) => row.expires_at],
  ['reply_to', 'jsonb', (row) => json(row.reply_to)],
  ['headers', 'jsonb', (row) => json(row.headers)],
  ['sealed', 'bytea', (row) => row.sealed],
  ['cost', 'smallint', (row) => row.cost],
  ['lease_token', 'uuid', (row) => row.lease_token],
];

const recipientColumns: [
  name: string,
  type: string,
  value: (row: RecipientRow) => string | number | boolean | undefined,
][] = [
  ['email_id', 'uuid', (row) => row.email_id],
  ['tenant_id', 'uuid', (row) => row.tenant_id],
  ['address', 'text', (row) => row.address],
  ['position', 'smallint', (row) => row.position],
  ['kind', 'text', (row) => row.kind],
  ['name', 'text', (row) => row.name],
  ['is_bulk', 'boolean', (row) => row.is_bulk],
];

function json(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** SQL: the rows of parameters that begin with number `first`, as a table `t`. */
function given(columns: [name: string, type: string, ...unknown[]][], first: number): string {
  const arrays = columns.map(([, type], index) => `$${first + index}::${type}[]`);
  return `unnest(${arrays.join(', ')}) AS t (${columns.map(([name]) => name).join(', ')})`;
}

/**
 * One statement for a batch.
 *
 * A recipient whom the tenant has suppressed is written as such, and a letter to none but those ends here. That a letter
 * was queued is not written as an event: its own row says so (see history-store.ts).
 */
const insertStatement = `
  WITH recipient AS MATERIALIZED (
    SELECT email_id, tenant_id, coalesce(position, 0) AS position, coalesce(kind, 'to') AS kind, address, name,
           $1::timestamptz AS at, ${suppressionOf('t.tenant_id', 't.address', 't.is_bulk')} AS suppression
    FROM ${given(recipientColumns, 2)}
  ), input AS MATERIALIZED (
    SELECT t.*, ended.email_id IS NOT NULL AS is_ended,
           CASE WHEN t.scheduled_at IS NULL THEN 'queued' ELSE 'scheduled' END AS status
    FROM ${given(emailColumns, 2 + recipientColumns.length)}
    LEFT JOIN (SELECT email_id FROM recipient GROUP BY email_id HAVING bool_and(suppression IS NOT NULL)) AS ended
      ON ended.email_id = t.id
  ), letters AS (
    INSERT INTO emails (id, tenant_id, user_id, submitted_by, message_id, mail_from, subject, lane, status, tags,
                        metadata, on_uncertain, created_at, scheduled_at, expires_at)
    SELECT id, tenant_id, user_id, submitted_by, message_id, mail_from, subject, lane,
           CASE WHEN is_ended THEN 'suppressed' ELSE status END,
           tags, metadata, coalesce(on_uncertain, 'retry'), $1, scheduled_at, expires_at
    FROM input
  ), bodies AS (
    INSERT INTO email_bodies (email_id, reply_to, headers, text_body, html_body, redacted, sealed)
    SELECT id, CASE WHEN reply_to IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(reply_to)) END, headers, text_body, html_body, sealed IS NOT NULL, CASE WHEN NOT is_ended THEN sealed END
    FROM input
  ), queued AS (
    INSERT INTO email_queue (email_id, tenant_id, lane, run_at, expires_at, cost, lease_token, claims)
    -- Due by the database's clock, which is the one that claims.
    SELECT id, tenant_id, ${laneNumber},
           CASE WHEN lease_token IS NULL THEN coalesce(scheduled_at, now()) ELSE now() + interval '${leaseSeconds} s' END,
           expires_at, coalesce(cost, 1), lease_token, (lease_token IS NOT NULL)::int
    FROM input WHERE NOT is_ended
  ), events AS (
    INSERT INTO email_events (email_id, id, type, at, recipient, data)
    SELECT email_id, gen_random_uuid(), 'email.suppressed', at, address, jsonb_build_object('reason', suppression)
    FROM recipient WHERE suppression IS NOT NULL
  ), ${emailWebhookEvents(`
    SELECT tenant_id, 'email.queued' AS type, $1 AS at, id AS email_id, NULL AS recipient,
           CASE WHEN scheduled_at IS NOT NULL THEN jsonb_build_object('scheduled_at', scheduled_at) END AS data
    FROM input WHERE NOT is_ended
    UNION ALL
    SELECT tenant_id, 'email.suppressed', at, email_id, address, jsonb_build_object('reason', suppression)
    FROM recipient WHERE suppression IS NOT NULL`)}, counters AS (
    ${countRecipients(`
      SELECT tenant_id, at, CASE WHEN suppression IS NULL THEN 'queued' ELSE 'suppressed' END AS type FROM recipient`)}
  ), recipients AS (
    INSERT INTO email_recipients (email_id, position, kind, address, name, status)
    SELECT email_id, position, kind, address, name,
           CASE WHEN suppression IS NULL THEN input.status ELSE 'suppressed' END
    FROM recipient JOIN input ON input.id = recipient.email_id
  )
  SELECT email_id, position, suppression FROM recipient WHERE suppression IS NOT NULL`;

/** @returns the recipients that the letters will not go to */
export async function insertEmails(
  db: Queryable,
  createdAt: Date,
  emails: EmailRow[],
  recipients: RecipientRow[],
): Promise<SuppressedRecipient[]> {
  const parameters = [
    createdAt,
    ...recipientColumns.map(([, , value]) => column(recipients, value)),
    ...emailColumns.map(([, , value]) => column(emails, value)),
  ];
  return db.unsafe(insertStatement, parameters, { prepare: true });
}

/** Letters not at their end, by lane and whether they are due: what an operator watches. */
export async function queueDepth(db: Queryable): Promise<{ lane: Lane; due: number; waiting: number }[]> {
  return db<{ lane: Lane; due: number; waiting: number }[]>`
    SELECT (ARRAY['otp', 'transactional', 'bulk'])[lane + 1] AS lane,
           count(*) FILTER (WHERE run_at <= now() OR lease_token IS NOT NULL OR is_offered)::int AS due,
           count(*) FILTER (WHERE run_at > now() AND lease_token IS NULL AND NOT is_offered)::int AS waiting
    FROM email_queue GROUP BY lane ORDER BY lane`;
}

/**
 * Cancels letters that wait, also for another attempt, and that no worker holds. Whom they have reached they have reached.
 * @param letters each with the id of its event
 * @returns how many of them there were
 */
export async function cancelEmails(db: Queryable, letters: { id: string; eventId: string }[]): Promise<number> {
  const rows = await db`
    WITH given AS (
      SELECT * FROM unnest(${letters.map(({ id }) => id)}::uuid[], ${letters.map(({ eventId }) => eventId)}::uuid[])
        AS given (email_id, event_id)
    ), taken AS (
      DELETE FROM email_queue q USING emails e, given
      WHERE q.email_id = given.email_id AND e.id = given.email_id AND q.lease_token IS NULL
        AND e.status IN ('scheduled', 'queued', 'deferred')
      RETURNING q.email_id, q.tenant_id, given.event_id
    ), recipients AS (
      UPDATE email_recipients r SET status = 'canceled', next_attempt_at = NULL FROM taken
      WHERE r.email_id = taken.email_id AND r.status IN ('scheduled', 'queued', 'deferred')
      RETURNING taken.tenant_id
    ), counters AS (
      ${db.unsafe(countRecipients(`SELECT tenant_id, now() AS at, 'canceled' AS type FROM recipients`))}
    ), bodies AS (
      UPDATE email_bodies b SET sealed = NULL FROM taken WHERE b.email_id = taken.email_id AND b.sealed IS NOT NULL
    ), events AS (
      INSERT INTO email_events (email_id, id, type, at) SELECT email_id, event_id, 'email.canceled', now() FROM taken
    ), ${db.unsafe(
      emailWebhookEvents(`
        SELECT tenant_id, 'email.canceled' AS type, now() AS at, email_id, NULL AS recipient, NULL::jsonb AS data
        FROM taken`),
    )}
    UPDATE emails e SET status = 'canceled' FROM taken WHERE e.id = taken.email_id RETURNING e.id`;
  return rows.length;
}

/**
 * Takes hold of what waits of a user's: what they handed in, and what is written to them. In the order in which everybody
 * takes queue rows.
 */
export async function holdEmailsOf(db: Queryable, tenantId: string, userId: string): Promise<string[]> {
  const rows = await db<{ email_id: string }[]>`
    SELECT q.email_id FROM email_queue q
    WHERE q.lease_token IS NULL AND q.email_id IN (
      SELECT e.id FROM emails e WHERE e.user_id = ${userId} AND e.tenant_id = ${tenantId}
      UNION
      SELECT e.id FROM emails e WHERE e.submitted_by = ${`user:${userId}`} AND e.tenant_id = ${tenantId})
    ORDER BY q.email_id FOR UPDATE`;
  return rows.map((row) => row.email_id);
}

/** Makes a letter that waits for its next attempt due now. Returns whether it waits. */
export async function hastenEmail(db: Queryable, id: string): Promise<boolean> {
  const rows = await db`
    UPDATE email_queue q SET run_at = now() FROM emails e
    WHERE q.email_id = ${id} AND e.id = ${id} AND e.status IN ('queued', 'deferred') AND q.lease_token IS NULL
    RETURNING q.email_id`;
  return rows.length > 0;
}

/**
 * Opens again the recipients of an ended letter that did not get it, and queues it. Recipients it reached stay as they
 * are, and a letter whose real text is gone or whose time is over is left alone.
 * @returns whether anything was opened
 */
export async function reopenEmail(db: Queryable, id: string, eventId: string): Promise<boolean> {
  const rows = await db`
    WITH letter AS (
      SELECT e.id, e.tenant_id, e.lane, e.expires_at FROM emails e JOIN email_bodies b ON b.email_id = e.id
      WHERE e.id = ${id} AND e.status IN ('failed', 'bounced', 'uncertain') AND NOT (b.redacted AND b.sealed IS NULL)
        AND (e.expires_at IS NULL OR e.expires_at > now())
      FOR UPDATE OF e
    ), queued AS (
      INSERT INTO email_queue (email_id, tenant_id, lane, run_at, expires_at)
      SELECT id, tenant_id, ${db.unsafe(laneNumber)}, now(), expires_at FROM letter
      ON CONFLICT (email_id) DO NOTHING
      RETURNING email_id, tenant_id
    ), recipients AS (
      UPDATE email_recipients r SET status = 'queued' FROM queued
      WHERE r.email_id = queued.email_id AND r.status IN ('failed', 'bounced', 'uncertain')
      RETURNING queued.tenant_id
    ), counters AS (
      ${db.unsafe(countRecipients(`SELECT tenant_id, now() AS at, 'queued' AS type FROM recipients`))}
    ), events AS (
      INSERT INTO email_events (email_id, id, type, at, data)
      SELECT email_id, ${eventId}, 'email.queued', now(), '{"reason": "retry"}' FROM queued
    ), ${db.unsafe(
      emailWebhookEvents(`
        SELECT tenant_id, 'email.queued' AS type, now() AS at, email_id, NULL AS recipient,
               '{"reason": "retry"}'::jsonb AS data
        FROM queued`),
    )}
    UPDATE emails e SET status = 'queued' FROM queued WHERE e.id = queued.email_id RETURNING e.id`;
  return rows.length > 0;
}
