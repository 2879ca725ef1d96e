/** A tenant's own program: takes webhooks over HTTP, verifies them with the library any receiver would use, and keeps them. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { waitFor } from './wait-for.ts';

export interface Call {
  path: string;
  headers: Record<string, string>;
  raw: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read deep into what they assert.
  body: any;
}

export interface Receiver {
  url: string;
  calls: Call[];
  /** Connections made so far. */
  connections: () => number;
  /** The first call that `matches`, once it has come. */
  called: (matches: (call: Call) => boolean, what?: string) => Promise<Call>;
  close: () => Promise<void>;
}

/** @param answer of a call, 204 where it answers nothing; what it throws is a fault of the test and answers 500 */
export async function startReceiver(
  answer: (call: Call, response: ServerResponse) => void | Promise<void> = () => {},
): Promise<Receiver> {
  const calls: Call[] = [];
  let connections = 0;
  const server = createServer(async (request, response) => {
    const call = await readCall(request);
    calls.push(call);
    await answer(call, response);
    if (!response.headersSent && !response.destroyed && !hangs.has(response)) response.writeHead(204).end();
  });
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    connections: () => connections,
    called: (matches, what = 'a webhook') => waitFor(() => calls.find(matches), { what }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const hangs = new WeakSet<ServerResponse>();

/** Leaves a call without an answer. */
export function hang(response: ServerResponse): void {
  hangs.add(response);
}

async function readCall(request: IncomingMessage): Promise<Call> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks).toString('utf8');
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
  return { path: request.url ?? '', headers, raw, body: raw === '' ? undefined : JSON.parse(raw) };
}

/** Whether a call is signed with `secret`. */
export function isSignedWith(secret: string, { raw, headers }: Call): boolean {
  try {
    new Webhook(secret).verify(raw, headers);
    return true;
  } catch {
    return false;
  }
}
