/**
 * Attachments in storage. What an attachment is stands in `email_bodies.attachments`, what it holds in pieces in
 * `email_attachments`: written and read one at a time, so that memory does not grow with a letter's size.
 */
import { pipeline } from 'node:stream/promises';
import type { Database, Queryable } from '../database/database.ts';

/** As stored, and as history shows it. */
export interface Attachment {
  /** Place in the letter, from 0. */
  position: number;
  filename: string;
  content_type: string;
  /** Without angle brackets; null for what is no inline part. */
  content_id: string | null;
  /** In octets. */
  size: number;
}

/** What an attachment holds: asked for once or more, each time from its start. */
export type Content = () => AsyncIterable<Buffer>;

/**
 * Octets in a stored piece; the last of an attachment may be shorter. They are read as hexadecimal text: twice as many
 * characters still are a small object to V8, which it throws away at once, and no large one, which stays until it looks
 * through the whole heap.
 */
export const pieceSize = 48 * 1024;

/** An attachment on its way into storage. */
export type NewAttachment = Attachment & { content: Content };

/**
 * Stores what the attachments of a letter hold; to be called in the transaction that accepts it. COPY takes the octets as
 * they are; a parameter would travel as hexadecimal text, four times as much to allocate and to throw away.
 */
export async function writeContents(tx: Queryable, emailId: string, attachments: NewAttachment[]): Promise<void> {
  const target = await tx`
    COPY email_attachments (email_id, position, chunk, data) FROM STDIN (FORMAT binary)`.writable();
  await pipeline(rowsOf(emailId, attachments), target);
}

/**
 * What an attachment holds, piece by piece, each read when it is asked for: no transaction and no connection is held
 * while the reader is busy with the one before.
 * @throws Error when the letter was purged on the way
 */
export async function* readAttachment(
  db: Database,
  emailId: string,
  { position, size }: Pick<Attachment, 'position' | 'size'>,
): AsyncGenerator<Buffer> {
  for (let chunk = 0, left = size; left > 0; chunk++) {
    // Not by COPY, as they are written: the library hands a connection that copies to others of the pool. And unprepared:
    // with partitions the planner must see which of them the id is in.
    const [row]: { data: Buffer }[] = await db.unsafe(
      'SELECT data FROM email_attachments WHERE email_id = $1 AND position = $2 AND chunk = $3',
      [emailId, position, chunk],
    );
    if (!row) throw new Error(`Attachment ${position} of the letter ${emailId} is no longer stored.`);
    left -= row.data.length;
    yield row.data;
  }
}

// The binary format of COPY, https://www.postgresql.org/docs/current/sql-copy.html: a header, for each row the number of its
// fields and each field with its length before it, and a trailer.
const header = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
const trailer = Buffer.from('ffff', 'hex');

async function* rowsOf(emailId: string, attachments: NewAttachment[]): AsyncGenerator<Buffer> {
  yield header;
  for (const { position, size, content } of attachments) {
    let left = size;
    /** Octets that the piece has still to come. */
    let inPiece = 0;
    let chunk = 0;
    for await (let part of content()) {
      while (part.length > 0) {
        if (inPiece === 0) {
          inPiece = Math.min(pieceSize, left);
          if (inPiece === 0) throw new Error(`Attachment ${position} is longer than its size.`);
          left -= inPiece;
          yield rowHead(emailId, position, chunk++, inPiece);
        }
        const taken = part.subarray(0, inPiece);
        yield taken;
        inPiece -= taken.length;
        part = part.subarray(taken.length);
      }
    }
    if (left + inPiece > 0) throw new Error(`Attachment ${position} ends too early.`);
  }
  yield trailer;
}

/** A row up to its data. */
function rowHead(emailId: string, position: number, chunk: number, size: number): Buffer {
  const head = Buffer.alloc(38);
  let at = head.writeInt16BE(4);
  at = head.writeInt32BE(16, at);
  at += head.write(emailId.replaceAll('-', ''), at, 'hex');
  for (const value of [position, chunk]) at = head.writeInt16BE(value, head.writeInt32BE(2, at));
  head.writeInt32BE(size, at);
  return head;
}
