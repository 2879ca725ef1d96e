/** An SMTP server at the level of the socket: it keeps the bytes of DATA as they came, and misbehaves as a test tells it to. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TLSSocket, TLSSocket as Tls } from 'node:tls';
import tlsOptions from 'smtp-server/lib/tls-options.js';

export interface Transaction {
  mailFrom: string;
  rcptTo: string[];
  /** What stood between `DATA` and the final dot, dots still stuffed. */
  data: Buffer;
}

/** Where a session is: what the server is about to answer. `body` is the final dot, `data` any bytes before it. */
export type Stage =
  | 'greeting'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'data'
  | 'body'
  | 'RSET'
  | 'QUIT';

/**
 * A reply of its own; `cut` the connection; `hang`: never answer anything again; `drip`: begin a reply, and go on with it
 * for ever; undefined: accept.
 */
export type Act = string | undefined;

/** What a session has come to when it answers. */
export interface Moment {
  /** What the client has already sent behind the command. */
  behind: string;
  /** Which connection it is, from 1. */
  connection: number;
  /** Whether it is encrypted. */
  isEncrypted: boolean;
  /** Says something at once, asked or not. */
  say: (text: string) => void;
}

export interface ScriptedSmtp {
  url: string;
  port: number;
  /** Whatever was answered 250 after its final dot. */
  received: Transaction[];
  /** Commands as they came, without their line ends. */
  commands: string[];
  /** Connections ever opened. */
  connections: () => number;
  /** Whether any session has come to a stage. */
  reached: (stage: Stage) => boolean;
  /** From the next DATA on, reads nothing of a message; or goes on reading. */
  pause: (isPaused: boolean) => void;
  /** Cuts every connection. */
  cut: () => void;
  close: () => Promise<void>;
}

interface Script {
  port?: number;
  host?: string;
  /** Lines of the EHLO reply after the first. */
  extensions?: string[];
  /** TLS from the first byte. */
  isSecure?: boolean;
  on?: (stage: Stage, transaction: Transaction, line: string, moment: Moment) => Act | Promise<Act>;
  /** Every octet of a reply is a write of its own. */
  isDrippy?: boolean;
}

export async function startScriptedSmtp(script: Script = {}): Promise<ScriptedSmtp> {
  const sockets = new Set<Socket>();
  const received: Transaction[] = [];
  const commands: string[] = [];
  const reached = new Set<Stage>();
  let connections = 0;
  let isPaused = false;
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = ++connections;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    void serve(socket, {
      ...script,
      connection,
      on: (stage, transaction, line, moment) => {
        reached.add(stage);
        return script.on?.(stage, transaction, line, moment);
      },
      received,
      commands,
      isPaused: () => isPaused,
    });
  });
  await new Promise<void>((resolve) => server.listen(script.port ?? 0, script.host ?? '127.0.0.1', resolve));
  const actual = (server.address() as AddressInfo).port;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `${script.isSecure ? 'smtps' : 'smtp'}://127.0.0.1:${actual}`,
    port: actual,
    received,
    commands,
    connections: () => connections,
    reached: (stage) => reached.has(stage),
    pause: (paused) => {
      isPaused = paused;
      if (!paused) for (const socket of sockets) socket.resume();
    },
    cut,
    close: () =>
      new Promise((resolve) => {
        cut();
        server.close(() => resolve());
      }),
  };
}

interface Session extends Script {
  connection: number;
  on: NonNullable<Script['on']>;
  received: Transaction[];
  commands: string[];
  isPaused: () => boolean;
}

/** The bytes of a socket, taken as lines or as a message. */
function reader(socket: Socket) {
  let store = Buffer.alloc(64 * 1024);
  let length = 0;
  let wake = () => {};
  let isOver = false;
  const over = () => {
    isOver = true;
    wake();
  };
  const add = (bytes: Buffer) => {
    while (length + bytes.length > store.length) store = Buffer.concat([store, Buffer.alloc(store.length)]);
    length += bytes.copy(store, length);
  };
  socket.on('data', (chunk) => {
    add(chunk);
    wake();
  });
  socket.on('close', over).on('end', over);
  const more = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
      if (isOver) resolve();
    });
  return {
    behind: () => store.toString('latin1', 0, Math.min(length, 10_000)),
    /** @returns what stands before `until`; undefined where the client has gone */
    async take(until: string, onBytes?: () => Promise<boolean>): Promise<Buffer | undefined> {
      for (let searched = 0; ; ) {
        if (onBytes && length > 2 && !(await onBytes())) return undefined;
        const at = store.subarray(0, length).indexOf(until, Math.max(0, searched - until.length));
        searched = length;
        if (at >= 0) {
          const taken = Buffer.from(store.subarray(0, at));
          store.copyWithin(0, at + until.length, length);
          length -= at + until.length;
          return taken;
        }
        if (isOver) return undefined;
        await more();
      }
    },
    /** The terminator may follow an empty message at once. */
    beginMessage() {
      const rest = Buffer.from(store.subarray(0, length));
      length = 0;
      add(Buffer.concat([Buffer.from('\r\n'), rest]));
    },
  };
}

async function serve(plain: Socket, session: Session): Promise<void> {
  const { extensions = [], isSecure, isDrippy, connection, on, received, commands } = session;
  const encrypt = () => new Tls(plain, { isServer: true, ...certificate() });
  let socket: Socket | TLSSocket = isSecure ? encrypt() : plain;
  socket.on('error', () => {});
  let input = reader(socket);
  let transaction = blank();
  const write = (text: string) => {
    if (!isDrippy) return void socket.write(text);
    for (const octet of Buffer.from(text)) socket.write(Buffer.of(octet));
  };
  const moment = () => ({ behind: input.behind(), connection, isEncrypted: socket !== plain, say: write });
  /** Answers, and tells whether the session goes on and whether the stage was accepted. */
  const answer = async (stage: Stage, line: string, accepted: string): Promise<boolean> => {
    const act = await on(stage, transaction, line, moment());
    if (act === 'cut') plain.destroy();
    else if (act === 'drip') await drip(plain);
    else if (act === 'hang') await new Promise((resolve) => plain.once('close', resolve));
    else write(`${act ?? accepted}\r\n`);
    return act === undefined && !plain.destroyed;
  };
  await answer('greeting', '', '220 scripted.test ESMTP');
  for (;;) {
    const bytes = await input.take('\r\n');
    if (!bytes) return;
    const line = bytes.toString('utf8');
    commands.push(line);
    const verb = line.slice(0, 4).toUpperCase();
    const path = /<([^>]*)>/.exec(line)?.[1] ?? '';
    if (verb === 'EHLO') {
      const lines = ['scripted.test', ...extensions];
      const accepted = lines.map((one, i) => `250${i < lines.length - 1 ? '-' : ' '}${one}`).join('\r\n');
      await answer('EHLO', line, accepted);
    } else if (verb === 'HELO') {
      await answer('HELO', line, '250 scripted.test');
    } else if (verb === 'STAR') {
      if (await answer('STARTTLS', line, '220 2.0.0 go on')) {
        plain.removeAllListeners('data');
        socket = encrypt();
        socket.on('error', () => {});
        input = reader(socket);
      }
    } else if (verb === 'MAIL') {
      if (await answer('MAIL', line, '250 2.1.0 ok')) transaction.mailFrom = path;
    } else if (verb === 'RCPT') {
      transaction.rcptTo.push(path);
      if (!(await answer('RCPT', line, '250 2.1.5 ok'))) transaction.rcptTo.pop();
    } else if (verb === 'DATA') {
      if (session.isPaused()) socket.pause();
      if (!(await answer('DATA', line, '354 go on'))) continue;
      input.beginMessage();
      const data = await input.take('\r\n.\r\n', async () => {
        if ((await on('data', transaction, '', moment())) !== 'cut') return true;
        plain.destroy();
        return false;
      });
      if (!data) return;
      transaction.data = Buffer.concat([data.subarray(2), Buffer.from(data.length > 0 ? '\r\n' : '')]);
      if (await answer('body', '', '250 2.0.0 kept')) received.push(transaction);
      transaction = blank();
    } else if (verb === 'RSET') {
      await answer('RSET', line, '250 2.0.0 ok');
      transaction = blank();
    } else if (verb === 'QUIT') {
      await answer('QUIT', line, '221 2.0.0 bye');
      socket.end();
    } else {
      await answer('AUTH', line, '235 2.7.0 ok');
    }
  }
}

/** Lines of a reply that has no last one, an octet at a time. */
async function drip(socket: Socket): Promise<void> {
  const octets = Buffer.from('220-and so on\r\n');
  let at = 0;
  const dripping = setInterval(() => socket.write(octets.subarray(at % octets.length, (at++ % octets.length) + 1)), 5);
  await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(dripping);
}

function certificate() {
  // A certificate for "localhost" that nobody has signed.
  const { key, cert } = tlsOptions();
  return { key, cert };
}

function blank(): Transaction {
  return { mailFrom: '', rcptTo: [], data: Buffer.alloc(0) };
}
