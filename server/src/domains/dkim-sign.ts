/** DKIM signatures (RFC 6376), relaxed/relaxed, by RSA-SHA256 and Ed25519-SHA256 (RFC 8463). */
import { createHash, type KeyObject, sign as signWithCallback } from 'node:crypto';
import { promisify } from 'node:util';
import { foldedHeader } from '../mime/header.ts';
import type { DkimAlgorithm } from './domain.ts';

// With a callback it runs on Node's pool: RSA takes half a millisecond.
const sign = promisify(signWithCallback);

export interface DkimKey {
  /** d=, in A-labels. */
  domain: string;
  selector: string;
  algorithm: DkimAlgorithm;
  privateKey: KeyObject;
}

/** Fields that are named once more than they stand, so that nobody can add another (RFC 6376 8.15). */
const oversigned = ['from', 'reply-to', 'subject', 'date', 'to', 'cc', 'message-id', 'mime-version', 'content-type'];
const signed = [
  'content-transfer-encoding',
  'in-reply-to',
  'references',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
];

/**
 * Signs a letter with each of the keys.
 *
 * @param headers whole fields, each with its CRLF
 * @param bodyHash as `relaxedBodyHash` makes it
 * @param at when the letter was accepted: so every attempt signs alike
 * @returns a field for each key, to stand before `headers`
 */
export async function dkimSignatures(
  keys: DkimKey[],
  { headers, bodyHash, at }: { headers: string; bodyHash: string; at: Date },
): Promise<string> {
  const fields = new Map<string, string[]>();
  for (const field of headers.split(/\r\n(?![ \t])/)) {
    const name = field.slice(0, field.indexOf(':')).toLowerCase();
    if (name !== '') fields.set(name, [...(fields.get(name) ?? []), relaxedHeader(field)]);
  }
  const times = (name: string) => fields.get(name)?.length ?? 0;
  const names = [
    ...oversigned.flatMap((name) => Array<string>(times(name) + 1).fill(name)),
    ...signed.flatMap((name) => Array<string>(times(name)).fill(name)),
  ];
  // Of fields that stand more than once the last comes first.
  const covered = [...oversigned, ...signed].flatMap((name) => fields.get(name)?.toReversed() ?? []);

  const made = keys.map(async (key) => {
    const tags = [
      'v=1;',
      `a=${key.algorithm}-sha256;`,
      'c=relaxed/relaxed;',
      `d=${key.domain};`,
      `s=${key.selector};`,
      `t=${Math.floor(at.getTime() / 1_000)};`,
      ...inPieces(`h=${names.join(':')};`, /.{1,60}(?::|;$)/g),
      `bh=${bodyHash};`,
    ];
    const field = (b: string[]) =>
      foldedHeader(
        'DKIM-Signature',
        [...tags, ...b].map((tag) => ` ${tag}`),
      );
    const data = Buffer.from(`${covered.map((one) => `${one}\r\n`).join('')}${relaxedHeader(field(['b=']))}`);
    return field(inPieces(`b=${(await signature(key, data)).toString('base64')}`, /.{1,70}/g));
  });
  return (await Promise.all(made)).join('');
}

function inPieces(text: string, piece: RegExp): string[] {
  return text.match(piece) ?? [];
}

/** Ed25519 signs the hash (RFC 8463 section 3), RSA hashes by itself. */
function signature({ algorithm, privateKey }: DkimKey, data: Buffer): Promise<Buffer> {
  if (algorithm === 'rsa') return sign('sha256', data, privateKey);
  return sign(null, createHash('sha256').update(data).digest(), privateKey);
}

/** RFC 6376 3.4.2, without the CRLF. */
function relaxedHeader(field: string): string {
  const colon = field.indexOf(':');
  const value = field
    .slice(colon + 1)
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .trim();
  return `${field.slice(0, colon).trimEnd().toLowerCase()}:${value}`;
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

/** The hash of a body (RFC 6376 3.4.4) whose lines end with CRLF, given piece by piece. */
export function relaxedBodyHash(): { update: (chunk: Uint8Array) => void; digest: () => string } {
  const hash = createHash('sha256');
  let isEmpty = true;
  // What counts only if something follows: line ends, then white space.
  let lineEnds = 0;
  let isAfterSpace = false;
  return {
    update: (chunk) => {
      const out = Buffer.allocUnsafe(chunk.length + lineEnds * 2 + 1);
      let end = 0;
      for (const octet of chunk) {
        if (octet === SPACE || octet === TAB) isAfterSpace = true;
        else if (octet === LF) {
          lineEnds++;
          isAfterSpace = false;
        } else if (octet !== CR) {
          for (; lineEnds > 0; lineEnds--) {
            out[end++] = CR;
            out[end++] = LF;
          }
          if (isAfterSpace) out[end++] = SPACE;
          isAfterSpace = false;
          out[end++] = octet;
        }
      }
      if (end > 0) isEmpty = false;
      hash.update(out.subarray(0, end));
    },
    digest: () => (isEmpty ? hash : hash.update('\r\n')).digest('base64'),
  };
}
