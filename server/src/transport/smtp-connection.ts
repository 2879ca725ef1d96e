/** The way to a connection that can carry letters: connect, greet, encrypt, greet again, log in. */

import { connect, isIP, isIPv6, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Patience } from './patience.ts';
import { logIn } from './smtp-auth.ts';
import { isLoopback, type Relay } from './smtp-relay.ts';
import { ProtocolFault, ReplyReader, type ServerReply } from './smtp-replies.ts';

/** What the server answered to EHLO (RFC 5321 4.1.1.1). */
export interface Extensions {
  /** RFC 2920. */
  pipelining: boolean;
  /** RFC 1870: whether it wants to know, and the largest message it takes, in octets; 0: any. */
  size: boolean;
  largest: number;
  /** RFC 6152. */
  eightBitMime: boolean;
  /** RFC 6531. */
  smtpUtf8: boolean;
  /** RFC 3207. */
  startTls: boolean;
  /** RFC 4954: SASL mechanisms; undefined where there is no login. */
  auth: string[] | undefined;
}

/** A server's refusal on the way to a connection. */
export class RefusedConnection extends Error {
  readonly reply: ServerReply;
  /** It was the login that was refused. */
  readonly isLogin: boolean;
  constructor(reply: ServerReply, isLogin = false) {
    super(reply.text);
    this.reply = reply;
    this.isLogin = isLogin;
  }
}

/**
 * A socket and the replies that come from it, whatever is on top of it at the moment. Whoever uses the connection sets
 * `onReplies` and `onEnd`; both are called from the socket's events.
 */
export class Connection {
  readonly relay: Relay;
  socket: Socket;
  readonly replies = new ReplyReader();
  extensions: Extensions = extensionsOf('');
  readonly openedAt = performance.now();
  /** Why it is no longer to be used. */
  endedBy: Error | undefined;
  stopListening: () => void;
  onReplies: () => void = () => {};
  onEnd: (error: Error) => void = () => {};

  constructor(relay: Relay, socket: Socket) {
    this.relay = relay;
    this.socket = socket;
    this.stopListening = this.listen();
  }

  get isEnded(): boolean {
    return this.endedBy !== undefined;
  }

  /** Hears what the present socket tells. Returns how to stop that. */
  listen(): () => void {
    const { socket } = this;
    const onData = (chunk: Buffer) => {
      if (this.isEnded) return;
      this.replies.push(chunk.toString('latin1'));
      this.onReplies();
    };
    const onEnd = () => this.end(new Error('The server closed the connection.'));
    socket.on('error', (error) => this.end(error));
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    return () => {
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
    };
  }

  /** Ends the connection at once, for the given reason. */
  end(error: Error): void {
    if (this.isEnded) return;
    this.endedBy = error;
    this.socket.destroy();
    this.onEnd(error);
  }

  /** Takes leave (RFC 5321 4.1.1.10), for `milliseconds` at most. */
  quit(milliseconds: number): void {
    if (this.isEnded) return;
    this.endedBy = new Error('The connection was left.');
    const { socket } = this;
    const late = setTimeout(() => socket.destroy(), milliseconds).unref();
    socket.once('close', () => clearTimeout(late));
    this.stopListening();
    socket.on('data', () => socket.destroy());
    socket.end('QUIT\r\n');
  }
}

export interface Opening {
  /** Milliseconds, for all of it. */
  timeout: number;
  signal?: AbortSignal | undefined;
}

/**
 * Connects, greets, encrypts as the relay's URL says, and logs in where the URL has a login and the server takes any.
 * @throws Error; RefusedConnection where the server said no
 */
export async function openConnection(
  relay: Relay,
  patience: Patience,
  { timeout, signal }: Opening,
): Promise<Connection> {
  const { host, port } = relay;
  const socket =
    relay.tls === 'implicit'
      ? keepSession(relay, connectTls({ host, port, ...tlsOptions(relay) }))
      : connect({ host, port, noDelay: true });
  const connection = new Connection(relay, socket);
  const stopWatching = watch(connection, timeout, signal);
  try {
    await connected(connection, relay.tls === 'implicit' ? 'secureConnect' : 'connect', patience.connect);
    const greeting = await nextReply(connection, patience.greeting);
    if (greeting.code !== 220) throw new RefusedConnection(greeting);
    await introduce(connection, patience);
    if (relay.tls === 'required' || (relay.tls === 'offered' && connection.extensions.startTls)) {
      await encrypt(connection, patience);
      // What was said in the clear may have been anybody's words (RFC 3207 4.2).
      await introduce(connection, patience);
    }
    await authenticate(connection, patience);
    return connection;
  } catch (error) {
    connection.end(error instanceof Error ? error : new Error(String(error)));
    throw error;
  } finally {
    stopWatching();
  }
}

/** Ends the connection when time is up or whoever waits has gone. Returns how to stop that. */
function watch(connection: Connection, timeout: number, signal: AbortSignal | undefined): () => void {
  const timer = setTimeout(() => connection.end(tooLate()), timeout);
  const abort = () => connection.end(stopped());
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  };
}

export function tooLate(): Error {
  return new Error('The server took too long.');
}

export function stopped(): Error {
  return new Error('The service stopped before the server answered.');
}

function connected(connection: Connection, event: 'connect' | 'secureConnect', timeout: number): Promise<void> {
  return within(connection, timeout, (resolve) => connection.socket.once(event, resolve));
}

function nextReply(connection: Connection, timeout: number): Promise<ServerReply> {
  return within(connection, timeout, (resolve) => {
    connection.onReplies = () => {
      try {
        const reply = connection.replies.next();
        if (reply) resolve(reply);
      } catch (error) {
        connection.end(error as Error);
      }
    };
    connection.onReplies();
  });
}

/** What `start` resolves with, unless the connection ends or the time does. */
function within<T>(connection: Connection, timeout: number, start: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => connection.end(tooLate()), timeout);
    const settle = () => {
      clearTimeout(timer);
      connection.onReplies = () => {};
      connection.onEnd = () => {};
    };
    connection.onEnd = (error) => {
      settle();
      reject(error);
    };
    if (connection.endedBy) return void connection.onEnd(connection.endedBy);
    start((value) => {
      settle();
      resolve(value);
    });
  });
}

/** Sends a command and gives the reply to it: never one that was there before. */
function ask(connection: Connection, line: string, timeout: number): Promise<ServerReply> {
  if (!connection.replies.isEmpty) throw new ProtocolFault('The server answered before it was asked.');
  connection.socket.write(`${line}\r\n`);
  return nextReply(connection, timeout);
}

/** EHLO, or HELO where the server knows no better (RFC 5321 3.2). */
async function introduce(connection: Connection, { reply: timeout }: Patience): Promise<void> {
  const name = ownName(connection.socket);
  const reply = await ask(connection, `EHLO ${name}`, timeout);
  connection.extensions = reply.code === 250 ? extensionsOf(reply.text) : extensionsOf('');
  if (reply.code === 250) return;
  if (reply.code < 500) throw new RefusedConnection(reply);
  const second = await ask(connection, `HELO ${name}`, timeout);
  if (second.code !== 250) throw new RefusedConnection(second);
}

function extensionsOf(text: string): Extensions {
  const lines = text.split(/\r?\n/).slice(1);
  const offered = new Map(
    lines.map((line) => {
      // "AUTH=" is how servers older than RFC 4954 say it.
      const [keyword = '', ...parameters] = line.slice(4).trim().toUpperCase().split(/[ =]+/);
      return [keyword, parameters];
    }),
  );
  return {
    pipelining: offered.has('PIPELINING'),
    size: offered.has('SIZE'),
    largest: Number(offered.get('SIZE')?.[0]) || 0,
    eightBitMime: offered.has('8BITMIME'),
    smtpUtf8: offered.has('SMTPUTF8'),
    startTls: offered.has('STARTTLS'),
    auth: offered.get('AUTH'),
  };
}

/** RFC 5321 4.1.3: a name that others can look up, or else the address. */
function ownName({ localAddress = '127.0.0.1' }: Socket): string {
  const name = hostname();
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name)) return name;
  return isIPv6(localAddress) ? `[IPv6:${localAddress.replace(/%.*/, '')}]` : `[${localAddress}]`;
}

/** STARTTLS (RFC 3207). */
async function encrypt(connection: Connection, { reply: timeout, connect }: Patience): Promise<void> {
  const { relay, socket: plain } = connection;
  const reply = await ask(connection, 'STARTTLS', timeout);
  if (reply.code !== 220) throw new RefusedConnection(reply);
  // Whatever stands behind that reply in the clear was put there by somebody in between.
  if (!connection.replies.isEmpty) throw new ProtocolFault('The server went on in the clear after STARTTLS.');
  connection.stopListening();
  connection.socket = keepSession(relay, connectTls({ socket: plain, ...tlsOptions(relay) }));
  connection.stopListening = connection.listen();
  await connected(connection, 'secureConnect', connect);
}

/** The last session with a relay, so that the next handshake is a short one. */
const sessions = new WeakMap<Relay, Buffer>();

function tlsOptions(relay: Relay): ConnectionOptions {
  const { host } = relay;
  const session = sessions.get(relay);
  return {
    ...(isIP(host) === 0 && { servername: host }),
    // On the machine itself there is nobody in between, and no authority would sign for "localhost".
    rejectUnauthorized: !isLoopback(host),
    ...(session && { session }),
  };
}

function keepSession(relay: Relay, socket: TLSSocket): TLSSocket {
  return socket.on('session', (session) => sessions.set(relay, session));
}

async function authenticate(connection: Connection, { reply: timeout }: Patience): Promise<void> {
  const { relay, extensions } = connection;
  const { auth: offered } = extensions;
  if (relay.user === '' || offered === undefined) return;
  const reply = await logIn((line) => ask(connection, line, timeout), relay, offered);
  if (!reply) throw new Error(`The relay takes no login that we can make: it offers ${offered.join(' ')}.`);
  if (reply.code !== 235) throw new RefusedConnection(reply, true);
}
