/**
 * Header fields of RFC 5322 and MIME, folded. The functions that end in `Header` return a whole field with its CRLF.
 * Fields are handled as pieces that begin with their white space, which is where a line may be broken: unfolding then
 * gives back every space.
 */
import { encodedWords, maxEncodedWord } from './encoded-word.ts';

/** RFC 2047 wants lines that hold an encoded word to end here; RFC 5322 would like 78. */
const maxLine = 76;

const printable = /^[\x20-\x7e]*$/;

/** A field of pieces, each with the white space it begins with. */
export function foldedHeader(name: string, pieces: string[]): string {
  let field = `${name}:`;
  let column = field.length;
  for (const piece of pieces) {
    const isFirst = column === name.length + 1;
    // A first piece that is too long for any line may as well stay beside the name.
    if (column + piece.length > maxLine && !(isFirst && piece.length > maxLine)) {
      field += '\r\n';
      column = 0;
    }
    field += piece;
    column += piece.length;
  }
  return `${field}\r\n`;
}

/** A field for people, such as Subject: what a line could not hold, or a reader would take for encoded, is encoded. */
export function textHeader(name: string, text: string): string {
  const isShort = name.length + 2 + text.length <= maxLine;
  if (isShort && printable.test(text) && !text.includes('=?')) return `${name}: ${text}\r\n`;
  return foldedHeader(
    name,
    encodedPieces(text, (word) => word.length > maxLine || word.includes('=?')),
  );
}

/**
 * A field that a caller brought, which may be for programs: words that are too long for a good line are left alone, since
 * they may be addresses or URLs.
 */
export function callersHeader(name: string, value: string): string {
  return foldedHeader(
    name,
    encodedPieces(value, (word) => /=\?[^\s?]+\?[BbQq]\?/.test(word)),
  );
}

/** Encodes all from the first word that has to be to the last. */
function encodedPieces(text: string, mustEncode: (word: string) => boolean): string[] {
  const pieces = ` ${text}`.match(/[ \t]+[^ \t]+/g) ?? [];
  const isToEncode = (piece: string) => /[^\t\x20-\x7e]/.test(piece) || mustEncode(piece);
  const first = pieces.findIndex(isToEncode);
  if (first === -1) return pieces;
  const last = pieces.findLastIndex(isToEncode);
  const encoded = encodedWords(
    pieces
      .slice(first, last + 1)
      .join('')
      .slice(1),
  );
  return [...pieces.slice(0, first), ...encoded.map((word) => ` ${word}`), ...pieces.slice(last + 1)];
}

export interface HeaderMailbox {
  address: string;
  name?: string | null;
}

const atoms = /^[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*$/;

/** A field of one or more addresses. */
export function mailboxHeader(name: string, mailboxes: readonly HeaderMailbox[]): string {
  const pieces: string[] = [];
  mailboxes.forEach((mailbox, index) => {
    if (mailbox.name) pieces.push(...phrase(mailbox.name), ` <${mailbox.address}>`);
    else pieces.push(` ${mailbox.address}`);
    if (index < mailboxes.length - 1) pieces.push(`${pieces.pop()},`);
  });
  return foldedHeader(name, pieces);
}

/** A display name: atoms, a quoted string, or encoded words. */
function phrase(name: string): string[] {
  if (name.length > maxEncodedWord || !printable.test(name) || name.includes('=?')) {
    return encodedWords(name).map((word) => ` ${word}`);
  }
  return [atoms.test(name) ? ` ${name}` : ` "${name.replace(/["\\]/g, '\\$&')}"`];
}

/** A field of MIME with parameters; `value` is a token or two of our own. */
export function parameterHeader(name: string, value: string, parameters: Record<string, string>): string {
  const pieces = [` ${value}`];
  for (const [key, text] of Object.entries(parameters)) {
    for (const one of parameter(key, text)) {
      pieces.push(`${pieces.pop()};`, ` ${one}`);
    }
  }
  return foldedHeader(name, pieces);
}

/** `key="text"`, or in pieces and percent-encoded where it is not plain (RFC 2231). */
function parameter(key: string, text: string): string[] {
  if (/^[A-Za-z0-9._-]{1,60}$/.test(text)) return [`${key}=${text}`];
  // Backslashes are allowed in quotes too, but many a reader takes them for part of the name.
  if (/^[\x20-\x7e]{1,60}$/.test(text) && !/["\\]/.test(text)) return [`${key}="${text}"`];
  const sections: string[] = [];
  let section = "utf-8''";
  for (const char of text) {
    const encoded = /[A-Za-z0-9._-]/.test(char)
      ? char
      : Buffer.from(char).toString('hex').toUpperCase().replace(/../g, '%$&');
    if (section.length + encoded.length > maxEncodedWord - 8) {
      sections.push(section);
      section = '';
    }
    section += encoded;
  }
  sections.push(section);
  if (sections.length === 1) return [`${key}*=${section}`];
  return sections.map((one, index) => `${key}*${index}*=${one}`);
}
