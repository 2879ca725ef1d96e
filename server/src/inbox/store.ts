import type { Queryable } from '../database/database.ts';

export interface ReceivedMessage {
  /** Envelope sender; empty for a bounce. */
  mailFrom: string;
  /** Envelope recipients, as they came in RCPT TO. */
  rcptTo: string[];
  /** The header From as text. */
  from: string | undefined;
  subject: string | undefined;
  text: string | undefined;
  html: string | undefined;
  raw: Buffer;
}

export interface InboxMessage {
  id: string;
  from: string;
  to: string[];
  subject: string;
  text: string | null;
  html: string | null;
  receivedAt: Date;
}

/** What the page's list shows. */
export type MessageSummary = Omit<InboxMessage, 'text' | 'html'>;

/** All in one statement, so that messages that arrive together share one commit. */
export async function insertMessages(
  db: Queryable,
  messages: readonly (ReceivedMessage & { id: string })[],
): Promise<void> {
  const column = (value: (message: ReceivedMessage & { id: string }) => string | undefined) =>
    messages.map((message) => storable(value(message)));
  // unnest() flattens arrays of arrays, so the recipients of one message travel as lines of one text.
  await db`
    INSERT INTO inbox_messages (id, mail_from, rcpt_to, from_header, subject, text_body, html_body, raw)
    SELECT id, mail_from, string_to_array(rcpt_to, E'\n'), from_header, subject, text_body, html_body, raw
    FROM unnest(
      ${column((m) => m.id)}::uuid[], ${column((m) => m.mailFrom)}::text[],
      ${column((m) => m.rcptTo.join('\n'))}::text[], ${column((m) => m.from)}::text[],
      ${column((m) => m.subject)}::text[], ${column((m) => m.text)}::text[], ${column((m) => m.html)}::text[],
      ${db.array(
        messages.map((m) => m.raw),
        bytea,
      )}::bytea[]
    ) AS message (id, mail_from, rcpt_to, from_header, subject, text_body, html_body, raw)`;
}

/** Object id of the type, which the array's own type cannot be guessed from. */
const bytea = 17;

/** PostgreSQL text holds every character but NUL. */
function storable(text: string | undefined): string | null {
  return text === undefined ? null : text.replaceAll('\0', '\uFFFD');
}

/** Deletes all but the newest. @returns how many are left */
export async function trimMessages(db: Queryable, keep: number): Promise<number> {
  await db`
    DELETE FROM inbox_messages
    WHERE id < (SELECT id FROM inbox_messages ORDER BY id DESC OFFSET ${keep - 1} LIMIT 1)`;
  const [row] = await db<{ count: number }[]>`SELECT count(*)::int AS count FROM inbox_messages`;
  return row?.count ?? 0;
}

export async function deleteMessages(db: Queryable): Promise<void> {
  await db`DELETE FROM inbox_messages`;
}

interface MessageQuery {
  /** An envelope recipient, in any letter case. */
  to?: string | undefined;
  /** Only messages older than this id. */
  after?: string | undefined;
  limit: number;
}

/** Newest first. */
export async function listMessages(db: Queryable, { to, after, limit }: MessageQuery): Promise<InboxMessage[]> {
  const rows = await db<MessageRow[]>`
    SELECT id, mail_from, rcpt_to, from_header, subject, text_body, html_body, received_at
    FROM inbox_messages
    WHERE (${after ?? null}::uuid IS NULL OR id < ${after ?? null}::uuid)
      AND (${to ?? null}::text IS NULL
        OR EXISTS (SELECT FROM unnest(rcpt_to) AS recipient WHERE lower(recipient) = lower(${to ?? null}::text)))
    ORDER BY id DESC
    LIMIT ${limit}`;
  return rows.map((row) => ({ ...toSummary(row), text: row.text_body, html: row.html_body }));
}

/** Newest first, without the bodies. */
export async function listSummaries(db: Queryable, limit: number): Promise<MessageSummary[]> {
  const rows = await db<MessageRow[]>`
    SELECT id, mail_from, rcpt_to, from_header, subject, received_at
    FROM inbox_messages ORDER BY id DESC LIMIT ${limit}`;
  return rows.map(toSummary);
}

export async function findMessage(db: Queryable, id: string): Promise<InboxMessage | undefined> {
  const [row] = await db<MessageRow[]>`
    SELECT id, mail_from, rcpt_to, from_header, subject, text_body, html_body, received_at
    FROM inbox_messages WHERE id = ${id}`;
  return row && { ...toSummary(row), text: row.text_body, html: row.html_body };
}

/** The message as it came over the wire. */
export async function findSource(db: Queryable, id: string): Promise<Buffer | undefined> {
  const [row] = await db<{ raw: Buffer }[]>`SELECT raw FROM inbox_messages WHERE id = ${id}`;
  return row?.raw;
}

/** Changes whenever a message arrives or goes. */
export async function contentMark(db: Queryable): Promise<string> {
  const [row] = await db<{ mark: string }[]>`
    SELECT count(*) || ' ' || coalesce((SELECT id::text FROM inbox_messages ORDER BY id DESC LIMIT 1), '') AS mark
    FROM inbox_messages`;
  return row?.mark ?? '';
}

interface MessageRow {
  id: string;
  mail_from: string;
  rcpt_to: string[];
  from_header: string | null;
  subject: string | null;
  text_body: string | null;
  html_body: string | null;
  received_at: Date;
}

function toSummary(row: MessageRow): MessageSummary {
  return {
    id: row.id,
    from: row.from_header ?? row.mail_from,
    to: row.rcpt_to,
    subject: row.subject ?? '',
    receivedAt: row.received_at,
  };
}
