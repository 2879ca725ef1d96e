/**
 * The library `postgres`, mended while it is loaded. In its release 3.4.9, the newest, a transaction that begins on a
 * connection with 99 statements before it does not get that connection for itself: the statements of others, which follow,
 * become part of it (its issues 823 and 1189). Nor does who copies hear of a fault after the last octet. And it forgets
 * six things when a connection is lost (its issues 1154 and 1208, and what our tests found beside them):
 * - that the write it had planned is called off, so that the next connection in that place plans none and hangs;
 * - that there is no socket any more, so that the next statement of a transaction ends the process with a TypeError that
 *   nobody can catch;
 * - what was asked between the fault and the end of the socket, so that the next connection gives it others' answers;
 * - an error that had been answered, so that whoever asks the next connection first is told it;
 * - that a transaction has ended with its connection, so that its further statements run, each for itself, on the
 *   connection that comes next;
 * - that its question for the types of arrays, asked of each new connection, may fail, which then ends the process.
 * And it leaves Nagle's algorithm on: with it, whoever writes twice before the server answers, as COPY does, waits 40 ms.
 * A release that reads otherwise is not changed, nor is any on a Node.js older than 22.15, which has no such hooks.
 */
import * as module from 'node:module';

type Mend = [find: string, put: string];

const ofConnection: Mend[] = [
  [
    `return write(toBuffer(q))
        && !q.describeFirst
        && !q.cursorFn
        && sent.length < max_pipeline
        && (!q.options.onexecute || q.options.onexecute(connection))`,
    `const hasRoom = write(toBuffer(q)) && !q.describeFirst && !q.cursorFn && sent.length < max_pipeline
      return q.options.onexecute ? q.options.onexecute(connection) : hasRoom`,
  ],
  ['!query && onopen(connection)\n', '!query && !connection.reserved && onopen(connection)\n'],
  [
    'stream && (stream.destroy(err), stream = null)\n',
    'stream && (stream.destroy(err), stream = null)\n    final && (final(err), final = null)\n',
  ],
  [
    'statements = {}\n      ',
    'statements = {}, results = errorResponse = null, result = new Result(), rows = 0\n      ',
  ],
  [': new net.Socket()\n', ': new net.Socket().setNoDelay()\n'],
  ['clearImmediate(nextWriteTimer)\n', 'clearImmediate(nextWriteTimer), (chunk = nextWriteTimer = null)\n'],
  ['const x = socket.write(chunk, fn)', 'const x = socket === null || socket.write(chunk, fn)'],
  ['!hadError && (query || sent.length) && error(', ';(query || sent.length) && error('],
  ['closedTime = performance.now()\n', 'query = null, closedTime = performance.now()\n'],
  // Whoever waits for the connection is told by other ways.
  ['return fetchArrayTypes()\n', 'return fetchArrayTypes().catch(() => {})\n'],
  [
    'if (stream)\n      return queryError(q, Errors.generic(',
    // True: a closed connection must not be counted among the full ones, which nobody opens again.
    `if (socket === null)
      return queryError(q, Errors.connection('CONNECTION_CLOSED', options)), true

    if (stream)
      return queryError(q, Errors.generic(`,
  ],
];

const ofTransaction: Mend[] = [
  ['let savepoints = 0\n', 'let savepoints = 0, lost = null\n'],
  ['connection.onclose = reject)', 'connection.onclose = e => reject(lost = e))'],
  [
    'q.catch(e => uncaughtError || (uncaughtError = e))\n',
    'q.catch(e => uncaughtError || (uncaughtError = e))\n        if (lost) return q.reject(lost)\n',
  ],
];

const hooks = module.registerHooks?.({
  load: (url, context, next) => {
    const loaded = next(url, context);
    const name = /\/postgres\/src\/(connection|index)\.js$/.exec(url)?.[1];
    if (name === undefined) return loaded;
    const mends = name === 'index' ? ofTransaction : ofConnection;
    return {
      ...loaded,
      source: mends.reduce((text, [find, put]) => text.replaceAll(find, put), String(loaded.source)),
    };
  },
});
export const { default: postgres } = await import('postgres');
hooks?.deregister();
