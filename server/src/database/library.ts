/**
 * The library `postgres`, mended while it is loaded. Its release 3.4.9, the newest, forgets five things when a connection
 * is lost (its issues 1154 and 1208, and what our tests found beside them):
 * - that the write it had planned is called off, so that the next connection in that place plans none and hangs;
 * - that there is no socket any more, so that the next statement of a transaction ends the process with a TypeError that
 *   nobody can catch;
 * - what was asked between the fault and the end of the socket, so that the next connection gives it others' answers;
 * - that a transaction has ended with its connection, so that its further statements run, each for itself, on the
 *   connection that comes next;
 * - that its question for the types of arrays, asked of each new connection, may fail, which then ends the process.
 * And it leaves Nagle's algorithm on: with it, whoever writes twice before the server answers, as COPY does, waits 40 ms.
 * A release that reads otherwise is not changed, nor is any on a Node.js older than 22.15, which has no such hooks.
 */
import * as module from 'node:module';

type Mend = [find: string, put: string];

const ofConnection: Mend[] = [
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
