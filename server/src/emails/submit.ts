import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Queryable } from '../database/database.ts';
import { formatMailbox } from './address.ts';
import type { Mailbox, NewEmail, SubmittedEmail } from './email.ts';
import { type EmailRow, insertEmails, laneNumbers, type RecipientRow } from './store.ts';

/** What stands in stored history where a code or token was. */
const redacted = '•••';

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
  const createdAt = new Date();
  const rows: EmailRow[] = [];
  const recipients: RecipientRow[] = [];
  for (const email of emails) {
    const row = emailRow(parts, email, createdAt);
    rows.push(row);
    addRecipients(recipients, row, email);
  }
  await insertEmails(db, createdAt, rows, recipients);
  return rows.map(({ id, status, message_id }) => ({ id, status, createdAt, messageId: message_id }));
}

function emailRow({ secrets, messageIdHost }: Parts, email: NewEmail, createdAt: Date): EmailRow {
  const { subject, text, html } = email;
  const isScheduled = email.scheduledAt !== undefined && email.scheduledAt > createdAt;
  const redact = redactor(email.confidential ?? []);
  return {
    id: newId(),
    tenant_id: email.tenantId,
    user_id: email.userId ?? null,
    submitted_by: email.submittedBy ?? null,
    // Fixed now, so that whoever gets a letter twice can see that it is one.
    message_id: `<${newId()}@${messageIdHost}>`,
    mail_from: formatMailbox(email.from),
    subject: redact ? redact(subject) : subject,
    lane: email.lane,
    lane_number: laneNumbers[email.lane],
    status: isScheduled ? 'scheduled' : 'queued',
    tags: email.tags && email.tags.length > 0 ? email.tags : null,
    metadata: email.metadata ?? null,
    on_uncertain: email.onUncertain ?? 'retry',
    created_at: createdAt.toISOString(),
    scheduled_at: isScheduled ? (email.scheduledAt?.toISOString() ?? null) : null,
    expires_at: email.expiresAt?.toISOString() ?? null,
    reply_to: email.replyTo && email.replyTo.length > 0 ? email.replyTo.map(formatMailbox) : null,
    headers: email.headers && Object.keys(email.headers).length > 0 ? email.headers : null,
    text_body: text === undefined ? null : redact ? redact(text) : text,
    html_body: html === undefined ? null : redact ? redact(html) : html,
    sealed: redact ? `\\x${secrets.seal('email', JSON.stringify({ subject, text, html })).toString('hex')}` : null,
    event_id: newId(),
  };
}

function addRecipients(
  rows: RecipientRow[],
  { id, tenant_id, status }: EmailRow,
  { to, cc = [], bcc = [] }: NewEmail,
): void {
  let position = 0;
  const add = (kind: RecipientRow['kind'], mailboxes: Mailbox[]) => {
    for (const { address, name = null } of mailboxes) {
      rows.push({ email_id: id, tenant_id, position: position++, kind, address, name, status });
    }
  };
  add('to', to);
  add('cc', cc);
  add('bcc', bcc);
}

function redactor(confidential: string[]): ((text: string) => string) | undefined {
  // Longest first: a code may be a part of the link that stands beside it.
  const strings = confidential.filter((one) => one !== '').sort((a, b) => b.length - a.length);
  if (strings.length === 0) return undefined;
  return (text) => strings.reduce((rest, one) => rest.replaceAll(one, redacted), text);
}
