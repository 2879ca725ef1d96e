/** Live updates by Server-Sent Events. They say only that something changed; the page then asks for the list. */
import type { Server } from 'node:http';
import { Readable } from 'node:stream';
import type { Database } from '../database/database.ts';
import { contentMark } from './store.ts';

const pollMilliseconds = 300;
/** Lets a proxy or a browser notice that the other side is gone. */
const heartbeatPolls = 50;

/**
 * Polls the table while anyone listens, because another process may be the one that receives the mail. One query serves
 * all listeners. Streams end when the server stops accepting, so that they never hold up a shutdown.
 *
 * @returns makes one more stream
 */
export function watchInbox(db: Database, server: Server): () => Readable {
  const streams = new Set<Readable>();
  let known: string | undefined;
  let polls = 0;
  let polling = false;

  const tell = (text: string) => {
    for (const stream of streams) stream.push(text);
  };
  const poll = async () => {
    if (!server.listening) {
      for (const stream of streams) stream.push(null);
      streams.clear();
    }
    polling = streams.size > 0;
    if (!polling) return;
    // An unreachable database is told by everything else; the page only waits.
    const mark = await contentMark(db).catch(() => known);
    if (mark !== known) tell('event: changed\ndata:\n\n');
    else if (++polls % heartbeatPolls === 0) tell(': still here\n\n');
    known = mark;
    setTimeout(poll, pollMilliseconds).unref();
  };

  return () => {
    const stream = new Readable({ read() {} });
    stream.once('close', () => streams.delete(stream));
    streams.add(stream);
    stream.push('retry: 1000\n\n');
    known = undefined; // so that the newcomer, too, is told to look
    if (!polling) void poll();
    return stream;
  };
}
