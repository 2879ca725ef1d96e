/**
 * Ending without failing a request. Node's own close() destroys idle kept connections at once, which fails a request
 * that is just on its way; and its closeIdleConnections() passes over connections that never asked anything, which
 * browsers open ahead of need. So we keep account of the connections ourselves.
 */
import type { Server as HttpServer, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type { App } from './server.ts';

interface Activity {
  /** Requests being answered. */
  open: number;
  /** When it last did anything, by performance.now(). */
  at: number;
}

// A client that has used a connection within this time may well be about to use it again.
const quietMs = 1_000;
const sweepMs = 50;
const forceMs = 30_000;
/** Turns of the event loop without a new connection after which none is taken to wait, and how long they are counted. */
const quietTurns = 5;
const acceptMs = 5_000;

const accounts = new WeakMap<HttpServer, Map<Socket, Activity>>();

/** Keeps account of the connections of `app`; to be called before it listens. */
export function followConnections({ server }: App): void {
  const connections = new Map<Socket, Activity>();
  accounts.set(server, connections);
  server.on('connection', (socket: Socket) => {
    connections.set(socket, { open: 0, at: performance.now() });
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', (request, response) => {
    const activity = connections.get(request.socket);
    if (!activity) return;
    activity.open++;
    response.once('close', () => {
      activity.open--;
      activity.at = performance.now();
    });
  });
}

/**
 * Stops accepting, answers what is in flight or still arrives on open connections (telling each to close), and ends.
 * A connection that has been quiet for a second is closed.
 */
export async function drain(app: App): Promise<void> {
  const { server } = app;
  const connections = accounts.get(server) ?? new Map<Socket, Activity>();
  app.log.debug('draining');
  await acceptWaiting(server);
  server.prependListener('request', (_request, response: ServerResponse) => response.setHeader('Connection', 'close'));
  const closed = new Promise<void>((done) => {
    NetServer.prototype.close.call(server, () => done());
  });
  const closeQuiet = () => {
    for (const [socket, { open, at }] of connections) {
      if (open === 0 && performance.now() - at > quietMs) socket.destroy();
    }
  };
  // After the sockets have been read: where this thread was held up, what was asked meanwhile still lies in them.
  const sweep = setInterval(() => setImmediate(closeQuiet), sweepMs);
  const force = setTimeout(() => server.closeAllConnections(), forceMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(force);
  await app.close();
}

/**
 * Takes in the connections that the system has made but Node.js has not yet accepted, which it does one in a turn of its
 * loop: closing the server would reset them, with the requests they carry. Nobody is told to close before, who would only
 * come back by such a connection.
 */
async function acceptWaiting(server: HttpServer): Promise<void> {
  let turns = 0;
  const begin = () => {
    turns = 0;
  };
  server.on('connection', begin);
  const deadline = performance.now() + acceptMs;
  while (turns++ < quietTurns && performance.now() < deadline) await turnOfLoop();
  server.off('connection', begin);
}
