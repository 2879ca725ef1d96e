/**
 * Stores messages many at a time: while one batch is at the disk the next gathers, with no timer, so that a message
 * alone waits for one commit and a hundred at once wait for two. Also keeps the inbox at its size.
 */

import type { Logger } from 'pino';
import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import { insertMessages, type ReceivedMessage, trimMessages } from './store.ts';

const keptMessages = 1_000;
/** How far a burst may exceed that before it is trimmed in its midst. */
const slack = 100;
const batchMessages = 200;
const batchBytes = 8 * 1024 * 1024;

export interface MessageWriter {
  /** Resolves once the message is committed. */
  store: (message: ReceivedMessage) => Promise<void>;
}

interface Waiting {
  message: ReceivedMessage;
  done: () => void;
  failed: (error: unknown) => void;
}

export async function makeWriter({ db, log }: { db: Database; log: Logger }): Promise<MessageWriter> {
  const waiting: Waiting[] = [];
  const nextIds = risingIds();
  let stored = await trimMessages(db, keptMessages);
  let writing = false;

  async function writeAll(): Promise<void> {
    writing = true;
    while (waiting.length > 0) {
      stored += await writeBatch(db, takeBatch(waiting), nextIds);
      if (stored > keptMessages + (waiting.length > 0 ? slack : 0)) await trim();
    }
    writing = false;
  }

  async function trim(): Promise<void> {
    try {
      stored = await trimMessages(db, keptMessages);
    } catch (error) {
      log.warn({ err: error }, 'the dev inbox could not drop its oldest messages; it tries again with the next');
    }
  }

  return {
    store: (message) =>
      new Promise((done, failed) => {
        waiting.push({ message, done, failed });
        if (!writing) void writeAll();
      }),
  };
}

function takeBatch(waiting: Waiting[]): Waiting[] {
  let count = 0;
  let bytes = 0;
  for (const { message } of waiting.slice(0, batchMessages)) {
    bytes += message.raw.length;
    if (count > 0 && bytes > batchBytes) break;
    count++;
  }
  return waiting.splice(0, count);
}

/** Never rejects: each message learns its own fate. @returns how many were stored */
async function writeBatch(db: Database, batch: Waiting[], nextIds: (count: number) => string[]): Promise<number> {
  try {
    const ids = nextIds(batch.length);
    await insertMessages(
      db,
      batch.map(({ message }, i) => ({ ...message, id: ids[i] ?? newId() })),
    );
    for (const { done } of batch) done();
    return batch.length;
  } catch (error) {
    const [first, ...others] = batch;
    if (first && others.length === 0) first.failed(error);
    if (others.length === 0) return 0;
    // One message the database refuses must not take its neighbours along.
    let stored = 0;
    for (const one of batch) stored += await writeBatch(db, [one], nextIds);
    return stored;
  }
}

/** UUIDv7 only orders by millisecond; the list must show what arrived later above what arrived earlier. */
function risingIds(): (count: number) => string[] {
  let last = '';
  return (count) => {
    for (;;) {
      const ids = Array.from({ length: count }, () => newId()).sort();
      // Only within the millisecond of the batch before is there reason to go round again.
      if ((ids[0] ?? '') <= last) continue;
      last = ids.at(-1) ?? last;
      return ids;
    }
  };
}
