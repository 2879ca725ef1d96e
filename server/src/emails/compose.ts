import MailComposer from 'nodemailer/lib/mail-composer';
import type { Secrets } from '../crypto/secrets.ts';
import { parseMailbox } from './address.ts';
import type { LetterRecipient, LetterRow } from './delivery-store.ts';
import type { Mailbox } from './email.ts';

interface Content {
  subject: string;
  text?: string;
  html?: string;
}

/**
 * Makes the message of RFC 5322 and MIME. Message-ID and Date are those of acceptance, so every attempt makes the same
 * letter; Bcc recipients stand in the envelope only.
 */
export async function compose(secrets: Secrets, letter: LetterRow): Promise<{ from: string; raw: Buffer }> {
  const from = parseMailbox(letter.mail_from);
  const to = listed(letter.recipients, 'to');
  const cc = listed(letter.recipients, 'cc');
  const { subject, text, html } = contentOf(secrets, letter);
  const message = new MailComposer({
    from: named(from),
    // An empty group says that there are recipients and that it is nobody's business who (RFC 5322 3.4).
    to: to.length === 0 && cc.length === 0 ? 'undisclosed recipients:;' : to,
    ...(cc.length > 0 && { cc }),
    ...(letter.reply_to && { replyTo: letter.reply_to.map((one) => named(parseMailbox(one))) }),
    subject: subjectLine(subject),
    ...(text !== undefined && { text }),
    ...(html !== undefined && { html }),
    ...(letter.headers && { headers: letter.headers }),
    messageId: letter.message_id,
    date: letter.created_at,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return { from: from.address, raw: await message.compile().build() };
}

/**
 * ASCII goes as it is, but for what a reader would take for an encoded word, and for words that no line could hold
 * (RFC 5322 2.1.1). Everything else is encoded and folded by the composer.
 */
function subjectLine(subject: string): string {
  if (!/=\?|\S{76}/.test(subject) || /[^\x20-\x7e]/.test(subject)) return subject;
  const pieces = subject.match(/.{1,45}/g) ?? [];
  return pieces.map((piece) => `=?UTF-8?B?${Buffer.from(piece).toString('base64')}?=`).join(' ');
}

function contentOf(secrets: Secrets, letter: LetterRow): Content {
  if (letter.sealed) return JSON.parse(secrets.open('email', letter.sealed).toString('utf8'));
  return {
    subject: letter.subject,
    ...(letter.text_body !== null && { text: letter.text_body }),
    ...(letter.html_body !== null && { html: letter.html_body }),
  };
}

function listed(recipients: LetterRecipient[], kind: 'to' | 'cc') {
  return recipients
    .filter((one) => one.kind === kind)
    .map(({ address, name }) => named(name === null ? { address } : { address, name }));
}

function named({ address, name = '' }: Mailbox) {
  return { address, name };
}
