import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import { pieceSize, readAttachment, writeContents } from './attachments.ts';

async function* of(...pieces: Buffer[]) {
  yield* pieces;
}

describe('stored attachments', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  after(() => database.close());

  const store = async (...contents: Buffer[][]) => {
    const id = newId();
    const attachments = contents.map((pieces, position) => ({
      position,
      filename: `${position}.bin`,
      content_type: 'application/octet-stream',
      content_id: null,
      size: Buffer.concat(pieces).length,
      content: () => of(...pieces),
    }));
    await db.begin((tx) => writeContents(tx, id, attachments));
    return { id, attachments };
  };
  const read = async (id: string, attachment: { position: number; size: number }) => {
    const pieces: Buffer[] = [];
    for await (const piece of readAttachment(db, id, attachment)) pieces.push(piece);
    return pieces;
  };

  it('come back as they were, in pieces of one size however they were handed in', async () => {
    const whole = randomBytes(2 * pieceSize + 1);
    const { id, attachments } = await store(
      [whole],
      [whole.subarray(0, 1), whole.subarray(1, pieceSize), whole.subarray(pieceSize), Buffer.alloc(0)],
      [],
      [whole.subarray(0, pieceSize)],
    );
    for (const attachment of attachments) {
      const pieces = await read(id, attachment);
      assert.ok(Buffer.concat(pieces).equals(whole.subarray(0, attachment.size)));
      assert.ok(pieces.every(({ length }, index) => length === pieceSize || index === pieces.length - 1));
    }
  });

  it('are not given as whole when a part of them has gone', async () => {
    const { id, attachments } = await store([Buffer.alloc(pieceSize + 1)]);
    await db`DELETE FROM email_attachments WHERE email_id = ${id} AND chunk = 1`;
    await assert.rejects(read(id, attachments[0] ?? { position: 0, size: 0 }), /no longer stored/);
  });
});
