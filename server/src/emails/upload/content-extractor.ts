/**
 * Takes the contents of attachments out of a JSON body while it arrives: what is left is small text, in which each
 * content is a reference. The text is then read by the rules for all bodies (http/json-body.ts), so this reader needs to
 * know no more of JSON than where strings, objects and arrays begin and end; what is no JSON it passes on to be refused.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { identityOf } from '../../http/idempotency.ts';
import { malformedJson, maxDepth } from '../../http/json-body.ts';
import { Base64Decoder } from './base64.ts';

export interface ExtractedContent {
  /** Octets decoded, and where they begin in all that were decoded. */
  size: number;
  offset: number;
  isBase64: boolean;
  /** Of its base64, for http/idempotency.ts. */
  identity: string;
}

interface Frame {
  isArray: boolean;
  /** Of the member that is being read; only as long as the names that are looked for. */
  key: string;
  isAtKey: boolean;
}

/** More contents than this are left in the text: no letter may have as many, and each one costs memory. */
const maxContents = 2_000;
/** Values in one body. What comes beyond is no mail, and every value costs far more memory than its text. */
const maxValues = 500_000;
const maxKeyLength = 11;

const quote = 0x22;
const backslash = 0x5c;

export class ContentExtractor {
  /** By what stands for them in the text; not to be guessed, so that no text of a caller's is taken for one. */
  readonly contents = new Map<string, ExtractedContent>();
  /** Values in the text, at least. */
  values = 0;
  readonly #mark = randomBytes(24).toString('hex');
  readonly #frames: Frame[] = [];
  #state: 'between' | 'key' | 'string' | 'content' = 'between';
  /** What was read of an escape sequence or, outside contents, whether the next character is escaped. */
  #escape = '';
  #key = '';
  #decoder = new Base64Decoder();
  #hash: Hash = createHash('sha256');
  #start = '';
  #offset = 0;

  /**
   * Reads the next part of a body.
   * @returns what goes into the text and what was decoded, each in order
   * @throws malformedJson
   */
  push(chunk: Buffer): { text: Buffer[]; decoded: Buffer[] } {
    const text: Buffer[] = [];
    const decoded: Buffer[] = [];
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'content') {
        at = this.#readContent(chunk, at, decoded);
        from = at;
      } else if (this.#state === 'between') {
        at = this.#readBetween(chunk, at);
        // Its opening quote is left out: the reference brings its own.
        if (this.isInContent()) {
          text.push(chunk.subarray(from, at - 1), this.#reference());
          from = at;
        }
      } else {
        at = this.#readString(chunk, at);
      }
    }
    if (from < chunk.length) text.push(chunk.subarray(from));
    return { text, decoded };
  }

  /** @throws malformedJson when the body ended inside a content */
  end(): void {
    if (this.#state === 'content') throw malformedJson({ detail: 'The body ends inside a string.' });
  }

  isInContent(): boolean {
    return this.#state === 'content';
  }

  #reference(): Buffer {
    return Buffer.from(`"${this.#mark}-${this.contents.size}"`);
  }

  /** Reads up to and including the next opening quote. */
  #readBetween(chunk: Buffer, start: number): number {
    for (let at = start; at < chunk.length; at++) {
      const char = chunk[at];
      if (char === quote) {
        this.#openString(this.#frames.at(-1));
        return at + 1;
      }
      if (char === 0x7b || char === 0x5b) this.#openFrame(char === 0x5b);
      else if (char === 0x7d || char === 0x5d) this.#frames.pop();
      else if (char === 0x2c) this.#endValue(this.#frames.at(-1));
      else if (char === 0x3a) this.#endKey(this.#frames.at(-1));
    }
    return chunk.length;
  }

  #endValue(frame: Frame | undefined): void {
    this.#countValue();
    if (frame && !frame.isArray) frame.isAtKey = true;
  }

  #endKey(frame: Frame | undefined): void {
    if (!frame) return;
    frame.isAtKey = false;
    frame.key = this.#key;
  }

  #openFrame(isArray: boolean): void {
    this.#countValue();
    this.#frames.push({ isArray, key: '', isAtKey: !isArray });
    if (this.#frames.length > maxDepth) {
      throw malformedJson({ detail: `The body is nested deeper than ${maxDepth} levels.` });
    }
  }

  #countValue(): void {
    if (++this.values > maxValues) throw malformedJson({ detail: `The body has more than ${maxValues} values.` });
  }

  #openString(frame: Frame | undefined): void {
    this.#escape = '';
    if (frame && !frame.isArray && frame.isAtKey) {
      this.#state = 'key';
      this.#key = '';
    } else if (this.contents.size < maxContents && this.#isContentPath()) {
      this.#state = 'content';
      this.#decoder = new Base64Decoder();
      this.#hash = createHash('sha256');
      this.#start = '';
    } else {
      this.#state = 'string';
    }
  }

  /** Whether the value that begins is `attachments.0.content` of a letter: of the body, or of an item of a batch. */
  #isContentPath(): boolean {
    if (this.#frames.at(-1)?.key !== 'content') return false;
    const path = this.#frames.map(({ isArray, key }) => (isArray ? '0' : key)).join('.');
    return /^(?:(?:emails\.)?0\.)?attachments\.0\.content$/.test(path);
  }

  /** Reads up to and including the closing quote of a key or of a string that stays. */
  #readString(chunk: Buffer, start: number): number {
    let at = start;
    let end = -1;
    while (at < chunk.length) {
      if (this.#escape !== '') {
        this.#escape = '';
        at++;
        continue;
      }
      // Looked for again only behind a quote that was escaped, or text full of escapes would be searched over and over.
      if (end < at) end = nextOf(chunk, quote, at);
      const escaped = chunk.subarray(at, end).indexOf(backslash);
      const stop = escaped === -1 ? end : at + escaped;
      if (this.#state === 'key' && this.#key.length <= maxKeyLength) {
        this.#key += chunk.toString('latin1', at, Math.min(stop, at + maxKeyLength + 1));
        // A name that is written with escapes is none that is looked for; its value stays in the text.
        if (escaped !== -1) this.#key += '\\'.repeat(maxKeyLength);
      }
      if (escaped === -1) {
        if (end < chunk.length) this.#state = 'between';
        return Math.min(end + 1, chunk.length);
      }
      this.#escape = '\\';
      at = stop + 1;
    }
    return at;
  }

  /** Decodes up to the closing quote of a content. */
  #readContent(chunk: Buffer, start: number, decoded: Buffer[]): number {
    let at = start;
    let end = -1;
    while (at < chunk.length) {
      if (this.#escape !== '') {
        this.#escape += String.fromCharCode(chunk[at++] ?? 0);
        this.#unescape(decoded);
        continue;
      }
      if (end < at) end = nextOf(chunk, quote, at);
      const escaped = chunk.subarray(at, end).indexOf(backslash);
      const stop = escaped === -1 ? end : at + escaped;
      this.#takeContent(chunk.subarray(at, stop), decoded);
      at = Math.min(stop + 1, chunk.length);
      if (escaped !== -1) this.#escape = '\\';
      else if (end < chunk.length) {
        this.#closeContent(decoded);
        return at;
      }
    }
    return at;
  }

  /** Many write the "/" of base64 as "\/" and its "+" as "\u002B". */
  #unescape(decoded: Buffer[]): void {
    const sequence = this.#escape;
    if (/^\\u[0-9A-Fa-f]{0,3}$/.test(sequence)) return;
    if (!/^\\(?:u[0-9A-Fa-f]{4}|["\\/bfnrt])$/.test(sequence)) {
      throw malformedJson({ detail: `There is no escape ${sequence} in JSON.` });
    }
    this.#escape = '';
    this.#takeContent(Buffer.from(JSON.parse(`"${sequence}"`)), decoded);
  }

  #takeContent(text: Buffer, decoded: Buffer[]): void {
    if (text.length === 0) return;
    this.#hash.update(text);
    if (this.#start.length <= 1_024) this.#start += text.toString('latin1', 0, 1_025);
    const octets = this.#decoder.push(text);
    if (octets.length > 0) decoded.push(octets);
  }

  #closeContent(decoded: Buffer[]): void {
    const last = this.#decoder.end();
    if (last.length > 0) decoded.push(last);
    const { size, isValid } = this.#decoder;
    this.contents.set(`${this.#mark}-${this.contents.size}`, {
      size,
      offset: this.#offset,
      isBase64: isValid,
      identity: identityOf(this.#start, () => this.#hash.digest('hex')),
    });
    this.#offset += size;
    this.#state = 'between';
  }
}

/** Index of the next such octet, or the length. */
function nextOf(chunk: Buffer, octet: number, from: number): number {
  const index = chunk.indexOf(octet, from);
  return index === -1 ? chunk.length : index;
}
