import type { Queryable } from '../database/database.ts';
import { formatMailbox } from './address.ts';
import type { EmailStatus, Tag } from './email.ts';
import type { EmailDetail, EmailSummary } from './schemas.ts';

/** The letters of a tenant, or of it only those that one caller handed in. */
export interface Scope {
  tenantId: string;
  submittedBy: string | null;
}

interface SummaryRow {
  id: string;
  status: EmailStatus;
  mail_from: string;
  subject: string;
  tags: Tag[] | null;
  lane: string;
  created_at: Date;
  scheduled_at: Date | null;
  expires_at: Date | null;
  recipients: { kind: string; address: string; name: string | null }[];
}

interface DetailRow extends SummaryRow {
  message_id: string;
  metadata: Record<string, unknown> | null;
  on_uncertain: string;
  reply_to: string[] | null;
  headers: Record<string, string> | null;
  text_body: string | null;
  html_body: string | null;
}

/**
 * A letter in a worker's hands is shown as `sending`. That is read off its lease rather than written, so that starting
 * a delivery costs no write to history.
 */
function shownStatus(db: Queryable) {
  return db`CASE WHEN e.status IN ('scheduled', 'queued', 'deferred') AND ${isLeased(db)} THEN 'sending' ELSE e.status END`;
}

function isLeased(db: Queryable) {
  return db`EXISTS (
    SELECT FROM email_queue q WHERE q.email_id = e.id AND q.lease_token IS NOT NULL AND q.run_at > now())`;
}

function recipientsOf(db: Queryable) {
  return db`(
    SELECT json_agg(json_build_object('kind', r.kind, 'address', r.address, 'name', r.name) ORDER BY r.position)
    FROM email_recipients r WHERE r.email_id = e.id)`;
}

function inScope(db: Queryable, { tenantId, submittedBy }: Scope) {
  return submittedBy === null
    ? db`e.tenant_id = ${tenantId}`
    : db`e.tenant_id = ${tenantId} AND e.submitted_by = ${submittedBy}`;
}

export interface ListOptions extends Scope {
  status: string | null;
  /** As recipients are compared: lower case. */
  to: string | null;
  tag: Partial<Tag>[] | null;
  /** Only letters older than this one. */
  after: string | null;
  limit: number;
}

/** Newest first. */
export async function listEmails(db: Queryable, options: ListOptions): Promise<EmailSummary[]> {
  const { status, to, tag, after, limit } = options;
  const byStatus =
    status === null
      ? db``
      : status === 'sending'
        ? db`AND e.status IN ('scheduled', 'queued', 'deferred') AND ${isLeased(db)}`
        : db`AND e.status = ${status}`;
  const rows = await db<SummaryRow[]>`
    SELECT e.id, ${shownStatus(db)} AS status, e.mail_from, e.subject, e.tags, e.lane, e.created_at, e.scheduled_at,
           e.expires_at, ${recipientsOf(db)} AS recipients
    FROM emails e
    WHERE ${inScope(db, options)} ${byStatus}
      ${after === null ? db`` : db`AND e.id < ${after}`}
      ${tag === null ? db`` : db`AND e.tags @> ${JSON.stringify(tag)}::text::jsonb`}
      ${to === null ? db`` : db`AND e.id IN (SELECT email_id FROM email_recipients WHERE lower(address) = ${to})`}
    ORDER BY e.id DESC LIMIT ${limit}`;
  return rows.map(toSummary);
}

export async function findDetail(db: Queryable, scope: Scope, id: string): Promise<EmailDetail | undefined> {
  const [row] = await db<DetailRow[]>`
    SELECT e.id, ${shownStatus(db)} AS status, e.mail_from, e.subject, e.tags, e.lane, e.created_at, e.scheduled_at,
           e.expires_at, e.message_id, e.metadata, e.on_uncertain, b.reply_to, b.headers, b.text_body, b.html_body,
           ${recipientsOf(db)} AS recipients
    FROM emails e LEFT JOIN email_bodies b ON b.email_id = e.id
    WHERE e.id = ${id} AND ${inScope(db, scope)}`;
  if (!row) return undefined;
  const [recipients, events] = await Promise.all([findRecipients(db, id), findEvents(db, id)]);
  return {
    ...toSummary(row),
    reply_to: row.reply_to ?? [],
    text: row.text_body,
    html: row.html_body,
    headers: row.headers ?? {},
    metadata: row.metadata ?? {},
    message_id: row.message_id,
    on_uncertain: row.on_uncertain,
    recipients,
    events,
  };
}

async function findRecipients(db: Queryable, id: string): Promise<EmailDetail['recipients']> {
  interface Row {
    address: string;
    kind: string;
    status: EmailStatus;
    attempts: number;
    reply_code: number | null;
    reply_enhanced: string | null;
    reply_text: string | null;
    next_attempt_at: Date | null;
  }
  const rows = await db<Row[]>`
    SELECT address, kind, status, attempts, reply_code, reply_enhanced, reply_text, next_attempt_at
    FROM email_recipients WHERE email_id = ${id} ORDER BY position`;
  return rows.map((row) => ({
    address: row.address,
    kind: row.kind,
    status: row.status,
    attempts: row.attempts,
    last_reply:
      row.reply_text === null ? null : { code: row.reply_code, enhanced: row.reply_enhanced, text: row.reply_text },
    next_attempt_at: row.next_attempt_at?.toISOString() ?? null,
  }));
}

async function findEvents(db: Queryable, id: string): Promise<EmailDetail['events']> {
  interface Row {
    type: string;
    at: Date;
    recipient: string | null;
    data: Record<string, unknown> | null;
  }
  const rows = await db<Row[]>`
    SELECT type, at, recipient, data FROM email_events WHERE email_id = ${id} ORDER BY at, recipient NULLS FIRST, id`;
  return rows.map(({ type, at, recipient, data }) => ({
    type,
    at: at.toISOString(),
    ...(recipient === null ? {} : { recipient }),
    ...(data === null ? {} : { data }),
  }));
}

function toSummary(row: SummaryRow): EmailSummary {
  const of = (kind: string) =>
    row.recipients
      .filter((one) => one.kind === kind)
      .map(({ address, name }) => formatMailbox(name === null ? { address } : { address, name }));
  return {
    id: row.id,
    status: row.status,
    from: row.mail_from,
    to: of('to'),
    cc: of('cc'),
    bcc: of('bcc'),
    subject: row.subject,
    tags: row.tags ?? [],
    lane: row.lane,
    created_at: row.created_at.toISOString(),
    scheduled_at: row.scheduled_at?.toISOString() ?? null,
    expires_at: row.expires_at?.toISOString() ?? null,
  };
}
