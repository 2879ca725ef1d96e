/** Turns one SMTP transaction into what the inbox keeps. Whatever a program sends is kept, however malformed. */
import { domainToASCII } from 'node:url';
import PostalMime, { type Address, type Email } from 'postal-mime';
import type { SMTPServerEnvelope } from 'smtp-server';
import type { ReceivedMessage } from './store.ts';

export async function readMessage(envelope: SMTPServerEnvelope, raw: Buffer): Promise<ReceivedMessage> {
  const mail = await parse(raw);
  return {
    mailFrom: envelope.mailFrom ? asOnTheWire(envelope.mailFrom.address) : '',
    rcptTo: envelope.rcptTo.map(({ address }) => asOnTheWire(address)),
    from: mail.from && describe(mail.from),
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    raw,
  };
}

/** smtp-server shows internationalised domains in Unicode; history and the JSON show them in A-labels, as sent. */
export function asOnTheWire(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  if (at < 0 || /^[\x20-\x7e]*$/.test(domain)) return address;
  return `${address.slice(0, at + 1)}${domainToASCII(domain) || domain}`;
}

type Shown = Partial<Pick<Email, 'from' | 'subject' | 'text' | 'html'>>;

async function parse(raw: Buffer): Promise<Shown> {
  try {
    return await PostalMime.parse(raw, { forceRfc822Attachments: true });
  } catch {
    // Nested or headed beyond reason: who wrote it and about what is shown all the same, the rest by the source.
    return PostalMime.parse(listedFields(raw)).then(
      ({ from, subject }) => ({ from, subject }),
      () => ({}),
    );
  }
}

/** The fields that the list of messages shows, as a message without a body. */
function listedFields(raw: Buffer): Buffer {
  const head =
    raw
      .subarray(0, 1_000_000)
      .toString('latin1')
      .split(/\r?\n\r?\n/, 1)[0] ?? '';
  const fields = ['From', 'Subject'].map((name) => new RegExp(`^${name}:.{0,2000}`, 'im').exec(head)?.[0] ?? '');
  return Buffer.from(`${fields.filter((one) => one !== '').join('\r\n')}\r\n\r\n`, 'latin1');
}

function describe(from: Address): string {
  if (from.group) return `${from.name}: ${from.group.map(describe).join(', ')};`;
  return from.name === '' ? (from.address ?? '') : `${from.name} <${from.address ?? ''}>`;
}
