/**
 * The dev inbox: a real SMTP server on the loopback that keeps whatever it is sent, for the page at `/inbox`. It owns
 * the table `inbox_messages`. Development only; nothing here is a mail server for the world.
 */
import { createHash } from 'node:crypto';
import { connect, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import type { Database } from '../database/database.ts';
import { readMessage } from './receive.ts';
import { type MessageWriter, makeWriter } from './writer.ts';

export interface Inbox {
  port: number;
  close: () => Promise<void>;
}

interface World {
  db: Database;
  log: Logger;
}

const host = '127.0.0.1';
const maxBytes = 50 * 1024 * 1024;

/**
 * Listens on `port`, or uses the inbox that another Postern on the same database already runs there, taking its place
 * when it goes.
 *
 * @param port 0 for any free one
 * @throws Error with advice, when another program has the port
 */
export async function startInbox({ db, log, port }: World & { port: number }): Promise<Inbox> {
  const name = await instanceName(db);
  const writer = await makeWriter({ db, log });
  const open = () => listen(makeServer({ writer, log, name }), port);

  let listener = await open();
  if (listener) {
    log.info(`dev inbox: SMTP on ${host}:${listener.port}`);
    return listener;
  }
  if (!(await greeting(port)).includes(name)) {
    throw new Error(
      `Port ${port}, where the dev inbox should receive mail, is taken by another program. ` +
        'Set INBOX_PORT to a free port (0 takes any) or stop that program.',
    );
  }
  log.info(`dev inbox: another Postern on this database receives on ${host}:${port}; using that one`);
  const takeOver = setInterval(async () => {
    const opened = await open();
    if (!opened) return;
    clearInterval(takeOver);
    listener = opened;
    log.info(`dev inbox: the other Postern is gone; SMTP on ${host}:${port} is here now`);
  }, 500);
  takeOver.unref();
  return {
    port,
    close: async () => {
      clearInterval(takeOver);
      await listener?.close();
    },
  };
}

/** The same for every Postern on one database, and for no other. */
async function instanceName(db: Database): Promise<string> {
  const [row] = await db<{ identity: string }[]>`
    SELECT system_identifier || ' ' || current_database() AS identity FROM pg_control_system()`;
  return `inbox-${createHash('sha256')
    .update(row?.identity ?? '')
    .digest('hex')
    .slice(0, 20)}`;
}

function makeServer({ writer, log, name }: { writer: MessageWriter; log: Logger; name: string }): SMTPServer {
  const server = new SMTPServer({
    name: 'localhost',
    banner: `Postern ${name}`,
    size: maxBytes,
    rejectOversized: true,
    hideENHANCEDSTATUSCODES: false,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    lenientAddressParsing: true,
    socketTimeout: 300_000,
    // Programs under development bring the credentials of the server they will use later.
    authOptional: true,
    allowInsecureAuth: true,
    authMethods: ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'],
    onAuth: (auth, _session, answer) => answer(null, { user: auth.username ?? 'anyone' }),
    onData: (stream, session, answer) => {
      receive(stream, session, writer).then(
        () => answer(null, 'OK: kept in the inbox'),
        (error: unknown) => {
          if (isAbandoned(error)) return;
          log.error({ err: error }, 'the dev inbox could not store a message; its sender is asked to try again');
          answer(Object.assign(new Error('Cannot store the message now, try again later'), { responseCode: 451 }));
        },
      );
    },
  });
  server.on('error', (error) => log.debug({ err: error }, 'dev inbox: a connection failed'));
  return server;
}

/** Resolves once the message is stored, or is known to be too large, which the server answers by itself. */
async function receive(stream: SMTPServerDataStream, session: SMTPServerSession, writer: MessageWriter): Promise<void> {
  const { envelope } = session;
  let chunks: Buffer[] = [];
  for await (const chunk of stream) {
    if (stream.sizeExceeded) chunks = [];
    else chunks.push(chunk);
  }
  if (!stream.sizeExceeded) await writer.store(await readMessage(envelope, Buffer.concat(chunks)));
}

/** The sender went away before the end of its message: there is nobody left to answer. */
function isAbandoned(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNECTION';
}

/** @returns undefined where the port is taken */
async function listen(server: SMTPServer, port: number): Promise<Inbox | undefined> {
  const sockets = new Set<Socket>();
  const net: Server = server.server;
  net.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const fault = await new Promise<NodeJS.ErrnoException | undefined>((done) => {
    net.once('error', done);
    server.listen(port, host, () => done(undefined));
  });
  if (fault?.code === 'EADDRINUSE') return undefined;
  if (fault) throw new Error(`The dev inbox cannot listen on ${host}:${port}: ${fault.message}. Set INBOX_PORT.`);
  const address = net.address();
  if (address === null || typeof address === 'string') throw new Error('The dev inbox has no port.');
  return { port: address.port, close: () => close(server, sockets) };
}

/** Messages on their way are stored and answered; connections without one are told to come back. */
async function close(server: SMTPServer, sockets: Set<Socket>): Promise<void> {
  const closed = new Promise<void>((done) => server.server.close(() => done()));
  const deadline = Date.now() + 5_000;
  for (;;) {
    for (const connection of server.connections) {
      const busy = connection.session.envelope?.mailFrom;
      if (!busy || Date.now() > deadline) connection.send(421, 'The dev inbox is shutting down');
    }
    if (server.connections.size === 0) break;
    await sleep(20);
  }
  for (const socket of sockets) socket.destroySoon();
  await closed;
}

async function greeting(port: number): Promise<string> {
  const socket = connect(port, host);
  socket.setTimeout(2_000, () => socket.destroy());
  try {
    for await (const chunk of socket) return String(chunk);
  } catch {
    // It does not speak, so it is not ours.
  } finally {
    socket.destroy();
  }
  return '';
}
