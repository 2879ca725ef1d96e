/** An SMTP server at the level of the socket: it keeps the bytes of DATA as they came, and misbehaves as a test tells it to. */
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface Transaction {
  mailFrom: string;
  rcptTo: string[];
  /** What stood between `DATA` and the final dot, dots still stuffed. */
  data: Buffer;
}

/** Where a session is: what the server is about to answer. `body` is the final dot, `data` any bytes before it. */
export type Stage = 'greeting' | 'EHLO' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'data' | 'body' | 'RSET' | 'QUIT';

/** A reply of its own; `cut` the connection; `hang`: never answer anything again; undefined: accept. */
export type Act = string | undefined;

export interface ScriptedSmtp {
  url: string;
  port: number;
  /** Whatever was answered 250 after its final dot. */
  received: Transaction[];
  /** Connections ever opened. */
  connections: () => number;
  /** Whether any session has come to a stage. */
  reached: (stage: Stage) => boolean;
  close: () => Promise<void>;
}

interface Script {
  port?: number;
  /** Lines of the EHLO reply after the first. */
  extensions?: string[];
  on?: (stage: Stage, transaction: Transaction, line: string) => Act | Promise<Act>;
}

const end = Buffer.from('\r\n.\r\n');

export async function startScriptedSmtp({ port = 0, extensions = [], on }: Script = {}): Promise<ScriptedSmtp> {
  const sockets = new Set<Socket>();
  const received: Transaction[] = [];
  const reached = new Set<Stage>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    void serve(socket, {
      extensions,
      on: (stage, transaction, line) => {
        reached.add(stage);
        return on?.(stage, transaction, line);
      },
      received,
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const actual = (server.address() as AddressInfo).port;
  return {
    url: `smtp://127.0.0.1:${actual}`,
    port: actual,
    received,
    connections: () => connections,
    reached: (stage) => reached.has(stage),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

interface Session {
  extensions: string[];
  on: NonNullable<Script['on']>;
  received: Transaction[];
}

async function serve(socket: Socket, { extensions, on, received }: Session): Promise<void> {
  let transaction = blank();
  /** Answers, and tells whether the session goes on and whether the stage was accepted. */
  const answer = async (stage: Stage, line: string, accepted: string): Promise<boolean> => {
    const act = await on(stage, transaction, line);
    if (act === 'cut') socket.destroy();
    else if (act === 'hang') await new Promise((resolve) => socket.once('close', resolve));
    else socket.write(`${act ?? accepted}\r\n`);
    return act === undefined && !socket.destroyed;
  };
  await answer('greeting', '', '220 scripted.test ESMTP');
  let pending = Buffer.alloc(0);
  let isData = false;
  try {
    for await (const chunk of socket) {
      pending = Buffer.concat([pending, chunk]);
      if (isData && (await on('data', transaction, '')) === 'cut') return void socket.destroy();
      for (;;) {
        const at = isData ? pending.indexOf(end) : pending.indexOf('\r\n');
        if (at < 0) break;
        const bytes = pending.subarray(0, at);
        pending = pending.subarray(at + (isData ? end.length : 2));
        if (isData) {
          isData = false;
          transaction.data = Buffer.concat([bytes, Buffer.from('\r\n')]);
          if (await answer('body', '', '250 2.0.0 kept')) received.push(transaction);
          transaction = blank();
          continue;
        }
        const line = bytes.toString('latin1');
        const verb = line.slice(0, 4).toUpperCase();
        const path = /<([^>]*)>/.exec(line)?.[1] ?? '';
        if (verb === 'EHLO') {
          const lines = ['scripted.test', ...extensions];
          const accepted = lines.map((one, i) => `250${i < lines.length - 1 ? '-' : ' '}${one}`).join('\r\n');
          await answer('EHLO', line, accepted);
        } else if (verb === 'MAIL') {
          if (await answer('MAIL', line, '250 2.1.0 ok')) transaction.mailFrom = path;
        } else if (verb === 'RCPT') {
          transaction.rcptTo.push(path);
          if (!(await answer('RCPT', line, '250 2.1.5 ok'))) transaction.rcptTo.pop();
        } else if (verb === 'DATA') {
          isData = await answer('DATA', line, '354 go on');
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
  } catch {
    // The client has gone.
  }
}

function blank(): Transaction {
  return { mailFrom: '', rcptTo: [], data: Buffer.alloc(0) };
}
