import type { Queryable } from '../database/database.ts';
import { formatMailbox } from './address.ts';
import type { Attachment } from './attachments.ts';
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
  attachments: Attachment[] | null;
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
  /** When they were accepted: from here on… */
  createdFrom: Date | null;
  /** …and before this. */
  createdBefore: Date | null;
  limit: number;
}

const unfinished = ['scheduled', 'queued', 'deferred'];
/** Of so many of the newest letters a tag is first looked for one by one. */
const newestForTag = 2_000;

/** Newest first. */
export async function listEmails(db: Queryable, options: ListOptions): Promise<EmailSummary[]> {
  const { tag, to, limit } = options;
  if (tag !== null && to === null) {
    // A tag that many letters have is soon found among the newest, and its index would name them all. One that few have is
    // found by that index. Left to choose, the planner knows of no tag how common it is.
    const newest = db`(SELECT * FROM emails e WHERE ${inRange(db, options)} ORDER BY e.id DESC LIMIT ${newestForTag})`;
    const rows = await selectSummaries(db, newest, options);
    if (rows.length === limit) return rows.map(toSummary);
  }
  return (await selectSummaries(db, candidates(db, options), options)).map(toSummary);
}

/** The letters that are worth looking at, by the index that names the fewest. */
function candidates(db: Queryable, options: ListOptions) {
  const { to, tag } = options;
  if (to !== null) {
    return db`(
      SELECT e.* FROM (
        SELECT DISTINCT email_id AS id FROM email_recipients
        WHERE lower(address) = lower(${to}::text) AND ${idRange(db, options, db`email_id`)}
      ) AS theirs JOIN emails e ON e.id = theirs.id)`;
  }
  if (tag === null) return ofStatus(db, options);
  return db`(
    WITH tagged AS MATERIALIZED (
      SELECT e.id FROM emails e WHERE ${hasTag(db, tag)} AND ${inRange(db, options)} ${byStatus(db, options)})
    SELECT e.* FROM tagged JOIN emails e ON e.id = tagged.id)`;
}

/** No index knows the status, since every letter changes it: the unfinished are in the queue, the odd ones listed apart. */
function ofStatus(db: Queryable, options: ListOptions) {
  const { status, tenantId } = options;
  if (status === null || status === 'sent') return db`emails`;
  if (status === 'sending' || unfinished.includes(status)) {
    return db`(
      SELECT e.* FROM email_queue q JOIN emails e ON e.id = q.email_id
      WHERE q.lane IN (0, 1, 2) AND q.tenant_id = ${tenantId} AND ${idRange(db, options, db`q.email_id`)})`;
  }
  return db`(
    SELECT e.* FROM email_exceptions x JOIN emails e ON e.id = x.email_id
    WHERE x.tenant_id = ${tenantId} AND x.status = ${status} AND ${idRange(db, options, db`x.email_id`)})`;
}

function selectSummaries(db: Queryable, source: ReturnType<typeof candidates>, options: ListOptions) {
  const { tag, limit } = options;
  return db<SummaryRow[]>`
    SELECT e.id, ${shownStatus(db)} AS status, e.mail_from, e.subject, e.tags, e.lane, e.created_at, e.scheduled_at,
           e.expires_at, ${recipientsOf(db)} AS recipients
    FROM ${source} e
    WHERE ${inRange(db, options)} ${byStatus(db, options)}
      ${tag === null ? db`` : db`AND ${hasTag(db, tag)}`}
    ORDER BY e.id DESC LIMIT ${limit}`;
}

/** The status as it is shown. */
function byStatus(db: Queryable, { status }: ListOptions) {
  if (status === null) return db``;
  if (status === 'sending') return db`AND e.status IN ${db(unfinished)} AND ${isLeased(db)}`;
  return unfinished.includes(status)
    ? db`AND e.status = ${status} AND NOT ${isLeased(db)}`
    : db`AND e.status = ${status}`;
}

function hasTag(db: Queryable, tag: Partial<Tag>[]) {
  return db`e.tags @> ${JSON.stringify(tag)}::text::jsonb`;
}

function inRange(db: Queryable, options: ListOptions) {
  const { createdFrom, createdBefore } = options;
  return db`${inScope(db, options)} AND ${idRange(db, options, db`e.id`)}
    ${createdFrom === null ? db`` : db`AND e.created_at >= ${createdFrom}`}
    ${createdBefore === null ? db`` : db`AND e.created_at < ${createdBefore}`}`;
}

/** Ids carry their time; that of a large letter is from when it began to be written, that of a node is by its own clock. */
const slackMs = 600_000;

function idRange(db: Queryable, { after, createdFrom, createdBefore }: ListOptions, id: ReturnType<Queryable>) {
  const at = (instant: Date, slack: number) => new Date(Math.max(0, instant.getTime() + slack));
  return db`true
    ${after === null ? db`` : db`AND ${id} < ${after}::uuid`}
    ${createdFrom === null ? db`` : db`AND ${id} >= uuid7_floor(${at(createdFrom, -slackMs)})`}
    ${createdBefore === null ? db`` : db`AND ${id} < uuid7_floor(${at(createdBefore, slackMs)})`}`;
}

export async function findDetail(db: Queryable, scope: Scope, id: string): Promise<EmailDetail | undefined> {
  const [row] = await db<DetailRow[]>`
    SELECT e.id, ${shownStatus(db)} AS status, e.mail_from, e.subject, e.tags, e.lane, e.created_at, e.scheduled_at,
           e.expires_at, e.message_id, e.metadata, e.on_uncertain, b.reply_to, b.headers, b.text_body, b.html_body, b.attachments,
           ${recipientsOf(db)} AS recipients
    FROM emails e LEFT JOIN email_bodies b ON b.email_id = e.id
    WHERE e.id = ${id} AND ${inScope(db, scope)}`;
  if (!row) return undefined;
  const [recipients, events] = await Promise.all([findRecipients(db, id), findEvents(db, id)]);
  return {
    ...toSummary(row),
    reply_to: row.reply_to ?? [],
    attachments: row.attachments ?? [],
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

/** The attachment at a place of a letter. */
export async function findAttachment(
  db: Queryable,
  scope: Scope,
  id: string,
  position: number,
): Promise<Attachment | undefined> {
  const [row] = await db<{ attachment: Attachment | null }[]>`
    SELECT b.attachments -> ${position}::integer AS attachment
    FROM emails e JOIN email_bodies b ON b.email_id = e.id
    WHERE e.id = ${id} AND ${inScope(db, scope)}`;
  return row?.attachment ?? undefined;
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
    SELECT type, at, recipient, data, id FROM email_events WHERE email_id = ${id}
    UNION ALL
    -- Acceptance writes no event of its own, unless nobody was left to send to.
    SELECT 'email.queued', created_at, NULL,
           CASE WHEN scheduled_at IS NOT NULL THEN jsonb_build_object('scheduled_at', scheduled_at) END, id
    FROM emails e
    WHERE id = ${id}
      AND NOT EXISTS (SELECT FROM email_events v WHERE v.email_id = ${id} AND v.type = 'email.queued' AND v.at = e.created_at)
      AND EXISTS (
        SELECT FROM email_recipients r WHERE r.email_id = ${id} AND NOT EXISTS (
          SELECT FROM email_events v WHERE v.email_id = ${id} AND v.recipient = r.address AND v.at = e.created_at
                                       AND v.type = 'email.suppressed'))
    ORDER BY at, recipient NULLS FIRST, id`;
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
