/**
 * Reads one mail address, strictly: what is accepted here is byte for byte what goes into RCPT TO (S45). RFC 5322 allows
 * far more (groups, comments, quoted local parts, routes); all of it has been used to smuggle a second address past a
 * check, none of it is needed, so it is refused. Every step is one linear pass over a bounded text.
 */
import { domainToASCII, domainToUnicode } from 'node:url';
import type { Mailbox } from './email.ts';

const maxTextLength = 1_000;
const maxAddressOctets = 254;
const maxLocalPartOctets = 64;
const maxNameLength = 255;

// Beside C0 and C1: line and paragraph separators, and the direction overrides that make a name read backwards.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const forbidden = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
const atext = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
const localPart = new RegExp(`^${atext}+(?:\\.${atext}+)*$`);
// RFC 6531 allows all of Unicode. Letters with their marks, digits and emoji are what people have; format characters,
// odd spaces and punctuation are what makes one address look like another.
const wideAtext = `(?:${atext}|(?![\\x00-\\x7f])[\\p{L}\\p{M}\\p{N}\\p{So}])`;
const wideLocalPart = new RegExp(`^${wideAtext}+(?:\\.${wideAtext}+)*$`, 'u');
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const nonAscii = /[^\u0020-\u007e]/;

/**
 * Reads `a@b`, `<a@b>`, `Name <a@b>` or `"Name, with specials" <a@b>`.
 * @throws Error whose message is a sentence for the caller
 */
export function parseMailbox(text: string): Mailbox {
  checkText(text);
  const trimmed = text.trim();
  if (!trimmed.endsWith('>')) return { address: parseAddrSpec(trimmed) };
  const open = trimmed.lastIndexOf('<');
  if (open === -1) throw new Error('An address has ">" without "<".');
  const address = parseAddrSpec(trimmed.slice(open + 1, -1));
  const name = parseDisplayName(trimmed.slice(0, open).trim());
  return name === '' ? { address } : { address, name };
}

/**
 * Reads an address without a name.
 * @returns it with the domain in lower-case A-labels; the local part keeps its case, and is in NFC
 * @throws Error whose message is a sentence for the caller
 */
export function parseAddress(text: string): string {
  checkText(text);
  return parseAddrSpec(text.trim());
}

/**
 * What uniqueness and look-ups compare. Give it what parseAddress returned. Only ASCII letters lose their case, as in the
 * database: which others are the same depends on language and Unicode version ("İ", "ß"), and to take two mailboxes for
 * one would hand an account to a stranger.
 */
export function normalizeEmail(address: string): string {
  return address.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether only a relay with SMTPUTF8 (RFC 6531) can take it. */
export function needsSmtpUtf8(address: string): boolean {
  return nonAscii.test(address);
}

/** Checks a display name that stands in a field of its own; returns it without spaces around it. */
export function checkDisplayName(name: string): string {
  checkText(name);
  if (name.length > maxNameLength) throw new Error(`The display name is longer than ${maxNameLength} characters.`);
  if (name.includes('=?')) throw new Error('The display name must be plain Unicode, not an encoded word ("=?…").');
  return name.trim();
}

/** `"Name" <a@b>`, in a form that parseMailbox reads back as the same mailbox. */
export function formatMailbox({ address, name }: Mailbox): string {
  if (name === undefined) return address;
  return /[()<>[\]:;@\\,"]/.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}" <${address}>` : `${name} <${address}>`;
}

/** Reads what formatMailbox has written, without asking again whether it may be. */
export function readMailbox(text: string): Mailbox {
  if (!text.endsWith('>')) return { address: text };
  const open = text.lastIndexOf('<');
  const name = text.slice(0, open - 1);
  return { address: text.slice(open + 1, -1), name: name.startsWith('"') ? unquote(name) : name };
}

function checkText(text: string): void {
  if (text.length > maxTextLength) throw new Error(`An address is at most ${maxTextLength} characters, name included.`);
  if (forbidden.test(text)) throw new Error('An address must not contain line breaks or other control characters.');
  if (!text.isWellFormed()) throw new Error('An address must be valid Unicode.');
}

function parseDisplayName(text: string): string {
  const name = text.startsWith('"') ? unquote(text) : text;
  const special = name === text ? /[()<>[\]:;@\\,"]/.exec(name)?.[0] : undefined;
  if (special !== undefined) {
    throw new Error(`The display name contains "${special}": put the name into double quotes.`);
  }
  return checkDisplayName(name);
}

function unquote(text: string): string {
  let name = '';
  for (let i = 1; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '"') {
      if (i !== text.length - 1) throw new Error('Text follows the quoted display name.');
      return name;
    }
    if (char === '\\') i++;
    // Nothing after the backslash: the text ends below, unterminated.
    name += char === '\\' ? text.charAt(i) : char;
  }
  throw new Error('The quoted display name does not end.');
}

function parseAddrSpec(text: string): string {
  if (text === '') throw new Error('The address is empty.');
  if (text.startsWith('"')) throw new Error('Quoted local parts are not supported.');
  const at = text.indexOf('@');
  if (at === -1) throw new Error('An address has the form name@domain.');
  if (/[,;:]/.test(text)) throw new Error('Give exactly one address here; lists and groups are not read.');
  if (text.includes('@', at + 1)) throw new Error('An address has exactly one "@".');
  const local = text.slice(0, at).normalize('NFC');
  checkLocalPart(local);
  const address = `${local}@${parseDomain(text.slice(at + 1))}`;
  if (Buffer.byteLength(address) > maxAddressOctets)
    throw new Error(`An address is at most ${maxAddressOctets} octets.`);
  return address;
}

function checkLocalPart(local: string): void {
  if (local === '') throw new Error('The part before "@" is empty.');
  if (Buffer.byteLength(local) > maxLocalPartOctets) {
    throw new Error(`The part before "@" is longer than ${maxLocalPartOctets} octets.`);
  }
  if (local.includes('=?')) throw new Error('Encoded words ("=?…") are not allowed in an address.');
  // What compatibility forms like "⑴" would become where somebody normalizes further must not be read otherwise either.
  if (!localPart.test(local) && !(wideLocalPart.test(local) && wideLocalPart.test(local.normalize('NFKC')))) {
    throw new Error(
      'The part before "@" has a character or a dot where none may be; comments and quotes are not read.',
    );
  }
}

/** @returns it in lower-case A-labels */
export function parseDomain(text: string): string {
  if (text.startsWith('[')) throw new Error('IP addresses in brackets are not supported as a domain.');
  // domainToASCII reads what URLs know and mail does not ("%41", "0x7f.1", a path): it is given nothing of the kind.
  if (/[^A-Za-z0-9.\-\u0080-\uffff]/.test(text)) throw notADomain();
  const domain = nonAscii.test(text) ? domainToASCII(text) : text.toLowerCase();
  if (domain.length > 253 || !domain.split('.').every((one) => label.test(one)) || !isDecodable(domain)) {
    throw notADomain();
  }
  // "127.0.0.1", also when written in full-width digits.
  if (/(?:^|\.)\d+$/.test(domain)) throw new Error('An IP address is not supported as a domain.');
  return domain;
}

/** Whether the A-labels, if any, are the encoding of the U-labels they decode to. */
function isDecodable(domain: string): boolean {
  if (!/(?:^|\.)xn--/.test(domain)) return true;
  const unicode = domainToUnicode(domain);
  return !/(?:^|\.)xn--/.test(unicode) && domainToASCII(unicode) === domain;
}

function notADomain(): Error {
  return new Error('The part after "@" is not a domain name.');
}
