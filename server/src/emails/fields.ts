/** The rules of single fields. Each returns the value as it is kept, or throws a sentence. */
import type { Tag } from './email.ts';

const maxLineOctets = 998;
const maxMetadataBytes = 16 * 1024;

const lineBreak = /[\r\n\0\u2028\u2029]/;
// Everything below space but the tab, which may fold a header, and DEL.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const control = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Text of one header line, such as a subject (S43). */
export function checkLine(text: string): string {
  if (lineBreak.test(text)) throw new Error('must not contain line breaks or NUL');
  if (control.test(text)) throw new Error('must not contain control characters');
  if (!text.isWellFormed()) throw new Error('must be valid Unicode');
  if (text.length > maxLineOctets) throw new Error(`must be at most ${maxLineOctets} characters`);
  return text;
}

/** A body: NUL can neither be stored nor sent; line ends become LF, and CRLF when the letter leaves (S44). */
export function checkText(text: string): string {
  if (text.includes('\0')) throw new Error('must not contain NUL');
  if (!text.isWellFormed()) throw new Error('must be valid Unicode');
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
}

// ftext of RFC 5322: printable ASCII but the colon.
const fieldName = /^[\x21-\x39\x3b-\x7e]{1,76}$/;
// What Postern writes itself, or what decides how the letter is read, signed or traced.
const ownHeaders = new RegExp(
  '^(?:from|sender|reply-to|to|cc|bcc|subject|date|message-id|mime-version|return-path|received|dkim-signature|' +
    'domainkey-signature|authentication-results|received-spf|delivered-to|errors-to|otp-token|(?:content|resent|arc)-.*)$',
  'i',
);

export function checkHeaders(headers: Record<string, string>): Record<string, string> {
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    const shown = JSON.stringify(name).slice(0, 80);
    if (!fieldName.test(name))
      throw new Error(`${shown} is not a header name (RFC 5322: printable ASCII without colon)`);
    if (ownHeaders.test(name)) throw new Error(`${shown} is written by Postern; it cannot be given here`);
    if (seen.has(name.toLowerCase())) throw new Error(`${shown} stands twice`);
    seen.add(name.toLowerCase());
    try {
      checkLine(value);
    } catch (error) {
      throw new Error(`${shown} ${error instanceof Error ? error.message : error}`);
    }
    if (value.trim() === '') throw new Error(`${shown} is empty`);
    if (name.length + 2 + Buffer.byteLength(value) > maxLineOctets) {
      throw new Error(`${shown} must be at most ${maxLineOctets} octets, name included`);
    }
  }
  return headers;
}

export function checkTags(tags: Tag[]): Tag[] {
  for (const { name, value } of tags) {
    // No colon: it separates name and value in GET /emails?tag=name:value.
    if (!/^[\w.-]{1,128}$/.test(name)) {
      throw new Error('have names of 1 to 128 ASCII letters, digits, "_", "-" and "."');
    }
    if (value.length > 256) throw new Error('have values of at most 256 characters');
    try {
      checkLine(value);
    } catch (error) {
      throw new Error(`have values that ${error instanceof Error ? error.message : error}`);
    }
  }
  return tags;
}

export function checkMetadata(metadata: Record<string, unknown>): Record<string, unknown> {
  // jsonb takes neither NUL nor lone surrogates, whether in a key or a value.
  const json = JSON.stringify(metadata, (key, value: unknown) => {
    for (const text of [key, value]) {
      if (typeof text === 'string' && (text.includes('\0') || !text.isWellFormed())) {
        throw new Error('must be valid Unicode without NUL');
      }
    }
    return value;
  });
  if (Buffer.byteLength(json) > maxMetadataBytes) throw new Error('must be at most 16 KiB of JSON');
  return metadata;
}
