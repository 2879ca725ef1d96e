/** Encoded words of RFC 2047: how text that is not ASCII stands in a header. */

/** Room inside one, so that it fits on a line behind the name of most headers. */
const maxEncoded = 52;
const overhead = '=?UTF-8?B??='.length;
/** The longest one this file makes. */
export const maxEncodedWord = maxEncoded + overhead;

// What may stand for itself in Q, also inside a phrase (RFC 2047 section 5, rule 3).
const literal = /[A-Za-z0-9!*+/-]/;

/**
 * Encodes a text as one or more encoded words, in Q or B, whichever is shorter. A reader drops the space between two of
 * them, so spaces of the text stand inside; no character is split.
 */
export function encodedWords(text: string): string[] {
  const bytes = Buffer.byteLength(text);
  const literals = text.match(/[A-Za-z0-9!*+/ -]/g)?.length ?? 0;
  const lengthInQ = literals + (bytes - literals) * 3;
  return lengthInQ <= Math.ceil(bytes / 3) * 4 ? inQ(text) : inB(text);
}

function inQ(text: string): string[] {
  const words: string[] = [];
  let word = '';
  for (const char of text) {
    const encoded = quote(char);
    if (word.length + encoded.length > maxEncoded) {
      words.push(`=?UTF-8?Q?${word}?=`);
      word = '';
    }
    word += encoded;
  }
  words.push(`=?UTF-8?Q?${word}?=`);
  return words;
}

function quote(char: string): string {
  if (char === ' ') return '_';
  if (literal.test(char)) return char;
  return Buffer.from(char).toString('hex').toUpperCase().replace(/../g, '=$&');
}

function inB(text: string): string[] {
  const words: string[] = [];
  const maxBytes = (maxEncoded / 4) * 3;
  let word = '';
  let bytes = 0;
  for (const char of text) {
    const size = Buffer.byteLength(char);
    if (bytes + size > maxBytes) {
      words.push(`=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`);
      word = '';
      bytes = 0;
    }
    word += char;
    bytes += size;
  }
  words.push(`=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`);
  return words;
}
