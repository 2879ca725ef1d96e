/**
 * Makes the message of RFC 5322 and MIME. Everything in it comes from what was accepted, so every attempt makes the same
 * letter, octet for octet; Bcc recipients stand in the envelope only. It is ASCII whatever it says, so that every relay
 * takes it, but for addresses with other letters before the "@" (RFC 6532), which only a relay with SMTPUTF8 can take.
 */
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import type { FindDkimKeys } from '../domains/dkim-keyring.ts';
import { dkimSignatures, relaxedBodyHash } from '../domains/dkim-sign.ts';
import { readMailbox } from '../emails/address.ts';
import { type Attachment, readAttachment } from '../emails/attachments.ts';
import { unsubscribeToken } from '../emails/unsubscribe-token.ts';
import { callersHeader, type HeaderMailbox, mailboxHeader, parameterHeader, textHeader } from '../mime/header.ts';
import { base64Pieces, base64Size, encodeText } from '../mime/transfer-encoding.ts';
import type { OutgoingMessage } from '../transport/transport.ts';
import type { LetterRow } from './store.ts';

interface Content {
  subject: string;
  text?: string;
  html?: string;
}

export interface ComposeParts {
  db: Database;
  secrets: Secrets;
  /** Base of the link to unsubscribe. */
  publicUrl: string;
  findDkimKeys: FindDkimKeys;
}

/** A part of the message: its headers, and its body in text of ours and files that are read when they are sent. */
interface Part {
  headers: string;
  body: (string | Attachment)[];
}

export async function compose(
  parts: ComposeParts,
  letter: LetterRow,
): Promise<Omit<OutgoingMessage, 'recipients' | 'isUrgent'>> {
  const from = readMailbox(letter.mail_from);
  const { subject, ...content } = contentOf(parts.secrets, letter);
  const { headers, body } = bodyOf(letter, content);
  const unsigned = `${lettersHeaders(letter, from, subject)}${unsubscribeHeaders(parts, letter)}MIME-Version: 1.0\r\n${headers}`;
  const pieces = joined(body);
  const signatures = await signaturesOf(parts, letter, from.address, unsigned, pieces);
  const head = `${signatures}${unsigned}\r\n`;
  const [only] = pieces;
  if (pieces.length === 1 && typeof only === 'string') {
    const whole = Buffer.from(head + only);
    return { from: from.address, content: whole, size: whole.length };
  }
  const whole = [head, ...pieces];
  return {
    from: from.address,
    content: () => octetsOf(parts, letter.id, whole),
    size: whole.reduce(
      (sum, one) => sum + (typeof one === 'string' ? Buffer.byteLength(one) : base64Size(one.size)),
      0,
    ),
  };
}

/** Empty where no key's record was seen. Files are read once more for it: their hash stands before them. */
async function signaturesOf(
  parts: ComposeParts,
  { id, tenant_id: tenantId, created_at: at }: LetterRow,
  from: string,
  headers: string,
  pieces: Part['body'],
): Promise<string> {
  const keys = await parts.findDkimKeys(tenantId, from);
  if (keys.length === 0) return '';
  const hash = relaxedBodyHash();
  for await (const octets of octetsOf(parts, id, pieces)) hash.update(octets);
  return dkimSignatures(keys, { headers, bodyHash: hash.digest(), at });
}

/** One click (RFC 8058) for bulk letters to one person, unless the caller has a way of their own. */
function unsubscribeHeaders({ secrets, publicUrl }: ComposeParts, letter: LetterRow): string {
  const [recipient, ...others] = letter.recipients;
  if (letter.lane !== 'bulk' || !recipient || others.length > 0) return '';
  if (Object.keys(letter.headers ?? {}).some((name) => /^list-unsubscribe(?:-post)?$/i.test(name))) return '';
  const { tenant_id: tenantId, id: emailId } = letter;
  const token = unsubscribeToken(secrets, { tenantId, emailId, address: recipient.address });
  return (
    callersHeader('List-Unsubscribe', `<${publicUrl}/unsubscribe?token=${token}>`) +
    'List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n'
  );
}

function lettersHeaders(letter: LetterRow, from: HeaderMailbox, subject: string): string {
  const to = letter.recipients.filter(({ kind }) => kind === 'to');
  const cc = letter.recipients.filter(({ kind }) => kind === 'cc');
  let headers = `Date: ${letter.created_at.toUTCString().replace('GMT', '+0000')}\r\n${mailboxHeader('From', [from])}`;
  // An empty group says that there are recipients and that it is nobody's business who (RFC 5322 3.4).
  if (to.length > 0) headers += mailboxHeader('To', to);
  else if (cc.length === 0) headers += 'To: undisclosed-recipients:;\r\n';
  if (cc.length > 0) headers += mailboxHeader('Cc', cc);
  if (letter.reply_to) headers += mailboxHeader('Reply-To', letter.reply_to.map(readMailbox));
  headers += `${textHeader('Subject', subject)}Message-ID: ${letter.message_id}\r\n`;
  for (const [name, value] of Object.entries(letter.headers ?? {})) headers += callersHeader(name, value);
  return headers;
}

function contentOf(secrets: Secrets, letter: LetterRow): Content {
  if (letter.sealed) return JSON.parse(secrets.open('email', letter.sealed).toString('utf8'));
  return {
    subject: letter.subject,
    ...(letter.text_body !== null && { text: letter.text_body }),
    ...(letter.html_body !== null && { html: letter.html_body }),
  };
}

/** Files the HTML shows stand beside it, others beside the whole text. */
function bodyOf(letter: LetterRow, { text, html }: Omit<Content, 'subject'>): Part {
  // The id that made the Message-ID; the encodings below see to it that no part holds a boundary, whatever it is.
  const id = letter.message_id.replace(/@.*|[^A-Za-z0-9]/g, '');
  const isInline = (file: Attachment) => html !== undefined && file.content_id !== null;
  const files = letter.attachments ?? [];
  const attached = files.filter((one) => !isInline(one));
  const alternatives: Part[] = [];
  if (text !== undefined || html === undefined) alternatives.push(textPart('plain', text ?? ''));
  if (html !== undefined) {
    alternatives.push(multipart('related', id, [textPart('html', html), ...files.filter(isInline).map(filePart)]));
  }
  return multipart('mixed', id, [multipart('alternative', id, alternatives), ...attached.map(filePart)]);
}

function textPart(subtype: string, text: string): Part {
  const { encoding, body } = encodeText(text, hasBoundaryLike);
  return {
    headers: `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`,
    body: [body],
  };
}

/** How boundaries begin. Neither quoted-printable nor base64 can make it. */
const boundaryStart = '=_';

function hasBoundaryLike(text: string): boolean {
  return text.startsWith(`--${boundaryStart}`) || text.includes(`\n--${boundaryStart}`);
}

/** The parts around a boundary; a single one needs none. */
function multipart(subtype: string, id: string, parts: Part[]): Part {
  const [first] = parts;
  if (first && parts.length === 1) return first;
  const boundary = `${boundaryStart}${subtype}_${id}`;
  const body: Part['body'] = [];
  for (const part of parts) body.push(`--${boundary}\r\n${part.headers}\r\n`, ...part.body, '\r\n');
  body.push(`--${boundary}--\r\n`);
  const root = subtype === 'related' ? ' type="text/html";' : '';
  return { headers: `Content-Type: multipart/${subtype};${root}\r\n boundary="${boundary}"\r\n`, body };
}

function filePart(file: Attachment): Part {
  const { filename, content_id: contentId } = file;
  // With its parameters, which an invitation (text/calendar) is nothing without.
  const type = /^(?!message\/|multipart\/)[\w.+-]+\/[\w.+-]+(?: *;[\x20-\x7e]+)?$/i.exec(file.content_type)?.[0];
  const disposition = contentId === null ? 'attachment' : 'inline';
  let headers = parameterHeader('Content-Disposition', disposition, { filename });
  // Messages must not be encoded (RFC 2046 5.2.1), and may be of lines that cannot be sent otherwise: a file, then.
  headers += `Content-Type: ${type ?? 'application/octet-stream'}\r\nContent-Transfer-Encoding: base64\r\n`;
  if (contentId !== null) headers += callersHeader('Content-ID', `<${contentId}>`);
  return { headers, body: [file] };
}

/** Neighbouring texts as one, and the last line ended. */
function joined(pieces: Part['body']): Part['body'] {
  const result: Part['body'] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (typeof piece === 'string' && typeof last === 'string') result[result.length - 1] = last + piece;
    else result.push(piece);
  }
  const last = result.at(-1);
  if (typeof last === 'string' && last !== '' && !last.endsWith('\r\n')) result[result.length - 1] = `${last}\r\n`;
  return result;
}

async function* octetsOf({ db }: ComposeParts, emailId: string, pieces: Part['body']) {
  for (const piece of pieces) {
    if (typeof piece === 'string') yield Buffer.from(piece);
    else yield* base64Pieces(readAttachment(db, emailId, piece));
  }
}
