import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import { formatMailbox } from './address.ts';
import type { Mailbox, NewEmail, SubmittedEmail } from './email.ts';
import { type EmailRow, insertEmails, type RecipientRow, type SuppressedRecipient } from './store.ts';

interface Parts {
  secrets: Secrets;
  /** Right side of every Message-ID. */
  messageIdHost: string;
}

/**
 * Accepts letters: writes each with its recipients, body, queue row and first event, in one statement. Give it a
 * transaction to make the letters part of it, and wake the workers after the commit.
 *
 * @returns in the order of `emails`
 */
export async function submitEmails(parts: Parts, db: Queryable, emails: NewEmail[]): Promise<SubmittedEmail[]> {
  if (emails.length === 0) return [];
  const letters = rowsOf(parts, emails, new Date());
  await insertEmails(db, letters.createdAt, letters.rows, letters.recipients);
  return submittedOf(letters);
}

/** Letters as they were accepted under a lease, for the worker that is to have them at once. */
export interface LeasedLetters {
  createdAt: Date;
  rows: EmailRow[];
  /** Of these letters and of others. */
  recipients: RecipientRow[];
  suppressed: SuppressedRecipient[];
}

/** Accepts letters, and those that `isLeased` says under a lease. A statement of its own, never part of a transaction. */
export async function submitLeased(
  parts: Parts,
  db: Database,
  emails: NewEmail[],
  isLeased: (email: NewEmail) => boolean,
): Promise<{ submitted: SubmittedEmail[]; leased: LeasedLetters }> {
  const letters = rowsOf(parts, emails, new Date());
  for (const [index, email] of emails.entries()) {
    const row = letters.rows[index];
    if (row && isLeased(email)) row.lease_token = newId();
  }
  const { createdAt, rows, recipients } = letters;
  const suppressed = await insertEmails(db, createdAt, rows, recipients);
  const leased = rows.filter((row) => row.lease_token !== undefined);
  return { submitted: submittedOf(letters), leased: { createdAt, rows: leased, recipients, suppressed } };
}

interface Rows {
  createdAt: Date;
  rows: EmailRow[];
  recipients: RecipientRow[];
}

function rowsOf(parts: Parts, emails: NewEmail[], createdAt: Date): Rows {
  const recipients: RecipientRow[] = [];
  const rows = emails.map((email) => {
    const row = emailRow(parts, email, createdAt);
    addRecipients(recipients, row, email);
    return row;
  });
  return { createdAt, rows, recipients };
}

function submittedOf({ createdAt, rows }: Rows): SubmittedEmail[] {
  return rows.map(({ id, scheduled_at, message_id }) => ({
    id,
    status: scheduled_at === undefined ? 'queued' : 'scheduled',
    createdAt,
    messageId: message_id,
  }));
}

function emailRow({ secrets, messageIdHost }: Parts, email: NewEmail, createdAt: Date): EmailRow {
  const { subject, text, html, tags, metadata, replyTo, headers } = email;
  const isScheduled = email.scheduledAt !== undefined && email.scheduledAt > createdAt;
  const shown = email.redacted ?? email;
  return {
    id: email.id ?? newId(),
    tenant_id: email.tenantId,
    user_id: email.userId,
    submitted_by: email.submittedBy,
    // Fixed now, so that whoever gets a letter twice can see that it is one.
    message_id: `<${newId()}@${messageIdHost}>`,
    mail_from: formatMailbox(email.from),
    subject: shown.subject,
    lane: email.lane,
    tags: tags && tags.length > 0 ? tags : undefined,
    metadata,
    on_uncertain: email.onUncertain === 'retry' ? undefined : email.onUncertain,
    scheduled_at: isScheduled ? email.scheduledAt?.toISOString() : undefined,
    expires_at: email.expiresAt?.toISOString(),
    reply_to: replyTo && replyTo.length > 0 ? replyTo.map(formatMailbox) : undefined,
    headers: headers && Object.keys(headers).length > 0 ? headers : undefined,
    text_body: shown.text,
    html_body: shown.html,
    sealed:
      email.redacted === undefined
        ? undefined
        : `\\x${secrets.seal('email', JSON.stringify({ subject, text, html })).toString('hex')}`,
    cost: costOf(email),
  };
}

/** A recipient counts for one, and so does every 64 KiB: what turns of the queue are paid in. */
function costOf({ to, cc = [], bcc = [], text = '', html = '', attachments = [] }: NewEmail): number | undefined {
  const octets = attachments.reduce((sum, { size }) => sum + size, text.length + html.length);
  const cost = to.length + cc.length + bcc.length + Math.floor(octets / 65_536);
  return cost > 1 ? Math.min(1_000, cost) : undefined;
}

function addRecipients(
  rows: RecipientRow[],
  { id, tenant_id, lane }: EmailRow,
  { to, cc = [], bcc = [] }: NewEmail,
): void {
  let position = 0;
  const is_bulk = lane === 'bulk' || undefined;
  const add = (kind: RecipientRow['kind'], mailboxes: Mailbox[]) => {
    for (const { address, name } of mailboxes) {
      rows.push({ email_id: id, tenant_id, position: position || undefined, kind, address, name, is_bulk });
      position++;
    }
  };
  add(undefined, to);
  add('cc', cc);
  add('bcc', bcc);
}
