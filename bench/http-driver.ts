/**
 * Keeps N connections busy, one request at a time on each, over bare sockets: what it costs itself is small beside what
 * it measures, since both share the machine.
 */
import { connect } from 'node:net';

export interface Load {
  port: number;
  connections: number;
  /** How long to go on. */
  seconds?: number;
  /** How many requests in all, where it is not the time that counts. */
  requests?: number;
  /** The bytes of the i-th request, and on which connection it goes. */
  request: (i: number, connection: number) => string;
  /** Status that counts as success. */
  expect: number;
  /** Told of each answer with that status. */
  onSuccess?: (answer: string) => void;
  /** Told of each answer with another status; a connection fault is 0. */
  onFailure?: (status: number, answer: string) => void;
}

export interface Result {
  /** Successful answers in all. */
  answered: number;
  perSecond: number;
  p50: number;
  p99: number;
  /** Answers with another status, by status; connection faults as 0. */
  failures: Record<number, number>;
}

/** Runs the load until its time or its requests are over; answers per second and latencies in milliseconds. */
export async function drive(load: Load): Promise<Result> {
  const latencies: number[] = [];
  const failures: Record<number, number> = {};
  let next = 0;
  const start = performance.now();
  const end = start + (load.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  const requests = load.requests ?? Number.POSITIVE_INFINITY;
  const fail = (status: number, answer: string) => {
    failures[status] = (failures[status] ?? 0) + 1;
    load.onFailure?.(status, answer);
  };

  await Promise.all(
    Array.from(
      { length: load.connections },
      (_, connection) =>
        new Promise<void>((done) => {
          const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true });
          let sentAt = 0;
          let pending = '';
          let isAnswerDue = true;
          const send = () => {
            isAnswerDue = next < requests && performance.now() < end;
            if (!isAnswerDue) return socket.end();
            sentAt = performance.now();
            socket.write(load.request(next++, connection));
          };
          socket.setEncoding('latin1');
          socket.on('connect', send);
          socket.on('data', (chunk: string) => {
            pending += chunk;
            const status = completeAnswer(pending);
            if (status === undefined) return;
            isAnswerDue = false;
            if (status === load.expect) {
              latencies.push(performance.now() - sentAt);
              load.onSuccess?.(pending);
            } else fail(status, pending);
            pending = '';
            send();
          });
          socket.on('error', () => {}); // 'close' follows
          socket.on('close', () => {
            if (isAnswerDue) fail(0, '');
            done();
          });
        }),
    ),
  );
  const elapsed = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { answered: latencies.length, perSecond: latencies.length / elapsed, p50: at(0.5), p99: at(0.99), failures };
}

/** The status of the answer in `text` once all of it is there. Every answer has a Content-Length, is chunked or 204. */
function completeAnswer(text: string): number | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const status = Number(text.slice(9, 12));
  const head = text.slice(0, headEnd + 2);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (status !== 204 && length === undefined) {
    if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) return text.endsWith('\r\n0\r\n\r\n') ? status : undefined;
    throw new Error(`an answer without Content-Length: ${text.slice(0, 200)}`);
  }
  return text.length >= headEnd + 4 + Number(length ?? 0) ? status : undefined;
}

/** The bytes of one GET. */
export function getRequest(path: string, headers: Record<string, string>): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headerLines(headers)}\r\n`;
}

/** The bytes of one HTTP request with a JSON body. */
export function jsonRequest(path: string, body: unknown, headers: Record<string, string> = {}): string {
  return postRequest(path, 'application/json', JSON.stringify(body), headers);
}

/** The bytes of one HTTP request with a form. */
export function formRequest(path: string, fields: Record<string, string>, headers: Record<string, string>): string {
  return postRequest(path, 'application/x-www-form-urlencoded', new URLSearchParams(fields).toString(), headers);
}

function postRequest(path: string, type: string, text: string, headers: Record<string, string>): string {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n${headerLines(headers)}\r\n${text}`;
}

/** The JSON body of an answer that has a Content-Length. */
export function jsonOf(answer: string): Record<string, unknown> {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

function headerLines(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}
