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
    from: mail?.from && describe(mail.from),
    subject: mail?.subject,
    text: mail?.text,
    html: mail?.html,
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

async function parse(raw: Buffer): Promise<Email | undefined> {
  try {
    return await PostalMime.parse(raw, { forceRfc822Attachments: true });
  } catch {
    return undefined; // nested beyond reason: the source still shows it
  }
}

function describe(from: Address): string {
  if (from.group) return `${from.name}: ${from.group.map(describe).join(', ')};`;
  return from.name === '' ? (from.address ?? '') : `${from.name} <${from.address ?? ''}>`;
}
