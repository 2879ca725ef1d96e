/** A real SMTP server that keeps what it is sent and answers as a test tells it to. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Received {
  mailFrom: string;
  rcptTo: string[];
  /** DATA as it came over the wire, dots unstuffed by the server. */
  raw: string;
  messageId: string | undefined;
}

export interface Sink {
  url: string;
  port: number;
  received: Received[];
  close: () => Promise<void>;
}

/** An SMTP refusal: throw it from `onRecipient` or `onMessage`. */
export class Refusal extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

export async function startSink(
  options: {
    port?: number;
    onRecipient?: (address: string) => void;
    onMessage?: (message: Received) => void | Promise<void>;
  } = {},
): Promise<Sink> {
  const received: Received[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 1_000,
    logger: false,
    onRcptTo: ({ address }, _session, callback) => {
      try {
        options.onRecipient?.(address);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('end', async () => {
        const raw = Buffer.concat(chunks).toString('utf8');
        const { mailFrom, rcptTo } = session.envelope;
        const message = {
          mailFrom: mailFrom === false ? '' : mailFrom.address,
          rcptTo: rcptTo.map(({ address }) => address),
          raw,
          messageId: /^Message-ID:\s*(\S+)/im.exec(raw)?.[1],
        };
        try {
          await options.onMessage?.(message);
          received.push(message);
          callback();
        } catch (error) {
          callback(error as Error);
        }
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    received,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
