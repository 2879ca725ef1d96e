/** What a server says: bytes into replies, and a reply into what history keeps of it. */
import type { Reply } from './transport.ts';

/** One complete reply: the code of its last line, and all of its lines, one octet a character. */
export interface ServerReply {
  code: number;
  text: string;
}

/** The server does not speak SMTP, or not in the order that was agreed: whatever it says next means nothing. */
export class ProtocolFault extends Error {}

// RFC 5321 4.5.3.1.5 allows 512; what is written into replies nowadays (URLs, explanations) is longer.
const maxLineLength = 4_096;
const maxReplyLength = 64 * 1_024;

const lineFeed = 10;
const carriageReturn = 13;
const space = 32;
const hyphen = 45;
const zero = 48;

/**
 * Takes bytes as they come, split anywhere, and gives complete replies (RFC 5321 4.2). Lines may end with LF alone, and
 * the last line's code counts, as with other clients.
 */
export class ReplyReader {
  #pending = '';
  /** Where the next reply begins. */
  #start = 0;
  /** Where the search for its end goes on. */
  #line = 0;

  push(bytes: string): void {
    this.#pending = this.#start === this.#pending.length ? bytes : this.#pending.slice(this.#start) + bytes;
    this.#line -= this.#start;
    this.#start = 0;
  }

  /** Nothing of a further reply has come. */
  get isEmpty(): boolean {
    return this.#start === this.#pending.length;
  }

  /** @throws ProtocolFault */
  next(): ServerReply | undefined {
    const pending = this.#pending;
    for (;;) {
      const begin = this.#line;
      const end = pending.indexOf('\n', begin);
      if ((end === -1 ? pending.length : end) - begin > maxLineLength) throw new ProtocolFault('a line without end');
      if (end - this.#start > maxReplyLength) throw new ProtocolFault('a reply without end');
      if (end === -1) return undefined;
      this.#line = end + 1;
      const code = codeAt(pending, begin);
      const separator = pending.charCodeAt(begin + 3);
      if (separator === hyphen) continue;
      if (separator !== space && separator !== lineFeed && separator !== carriageReturn) throw notSmtp(pending, begin);
      const text = pending.slice(this.#start, pending.charCodeAt(end - 1) === carriageReturn ? end - 1 : end);
      this.#start = end + 1;
      return { code, text };
    }
  }
}

function codeAt(text: string, at: number): number {
  const first = text.charCodeAt(at) - zero;
  const second = text.charCodeAt(at + 1) - zero;
  const third = text.charCodeAt(at + 2) - zero;
  if (!(first >= 2 && first <= 5 && second >= 0 && second <= 9 && third >= 0 && third <= 9)) throw notSmtp(text, at);
  return first * 100 + second * 10 + third;
}

function notSmtp(text: string, at: number): ProtocolFault {
  return new ProtocolFault(`no reply of SMTP: ${JSON.stringify(text.slice(at, at + 60).split(/[\r\n]/)[0])}`);
}

const replyLine = /^(\d{3})[ -]?(?:([245]\.\d{1,3}\.\d{1,3}) ?)?(.*)$/;

/** What history keeps of a reply. */
export function toReply({ code, text }: ServerReply): Reply {
  // Nearly all of them: one line of printable ASCII.
  if (/^[ -~]{3,500}$/.test(text)) {
    const [, , enhanced = null, rest = ''] = replyLine.exec(text) ?? [];
    return { code, enhanced, text: rest.trim() };
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the question is whether it is ASCII
  return parseReply(/[^\x00-\x7f]/.test(text) ? Buffer.from(text, 'latin1').toString() : text);
}

/** Takes `250-2.1.5 first line` and its continuation apart (RFC 5321 4.2.1, RFC 2034). */
export function parseReply(response: string): Reply {
  const lines = response.split(/\r?\n/).map((line) => replyLine.exec(line));
  const last = lines.at(-1);
  const text = lines
    .map((line) => line?.[3] ?? '')
    .join(' ')
    .trim();
  return {
    code: last ? Number(last[1]) : null,
    enhanced: last?.[2] ?? lines[0]?.[2] ?? null,
    text: brief(last ? text : response),
  };
}

/** History needs no essay, and PostgreSQL keeps neither NUL nor the half of a character that was cut in two. */
export function brief(text: string): string {
  return text.replaceAll('\0', '').slice(0, 1_000).toWellFormed();
}
