/**
 * One call of an endpoint. The connection goes to an address that was allowed when it was looked up for this very
 * connection, so that a name that changes its mind in between gains nothing; redirects are not followed; proxies of the
 * environment are not used, for they would resolve the name themselves.
 */
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { readRetryAfter } from './retry-schedule.ts';
import { hostOf, mayCall, type Resolve, resolveHost, type TargetPolicy } from './target.ts';

export interface Answer {
  /** Null where there was none. */
  statusCode: number | null;
  /** A sentence where there was no answer. */
  error: string | null;
  /** How the body of the answer begins: at most 1 KiB. */
  response: string | null;
  retryAfterSeconds: number | null;
}

export interface Sender {
  /** Never rejects but for `signal`. */
  send: (url: string, headers: Record<string, string>, body: string, signal: AbortSignal) => Promise<Answer>;
  close: () => void;
}

const excerptBytes = 1024;
/** What is read of an answer before the connection is cut; less than this leaves it for the next call. */
const maxResponseBytes = 16 * 1024;
/** Kept connections rest less long than servers commonly keep them (5 s), so that they do not go as we write. */
const idleMilliseconds = 4_000;

class TargetRefused extends Error {}

export function makeSender({
  policy,
  version,
  resolve = resolveHost,
  timeoutMilliseconds = 15_000,
}: {
  policy: TargetPolicy;
  version: string;
  resolve?: Resolve;
  timeoutMilliseconds?: number;
}): Sender {
  const options = { keepAlive: true, timeout: idleMilliseconds, maxFreeSockets: 32 };
  const plain = { agent: new http.Agent(options), lookup: allowedLookup(policy, resolve, false) };
  const encrypted = {
    agent: new https.Agent(options),
    lookup: allowedLookup(policy, resolve, true),
    rejectUnauthorized: true,
  };
  const fixed = { 'content-type': 'application/json', 'user-agent': `Postern/${version}` };

  return {
    send: async (target, headers, body, stopping) => {
      const url = new URL(target);
      const isEncrypted = url.protocol === 'https:';
      const deadline = AbortSignal.timeout(timeoutMilliseconds);
      try {
        // Node looks no literal up.
        if (isIP(hostOf(url)) !== 0 && !mayCall(policy, hostOf(url), isEncrypted)) throw new TargetRefused();
        const request = {
          method: 'POST',
          headers: { ...fixed, ...headers, 'content-length': String(Buffer.byteLength(body)) },
          signal: AbortSignal.any([deadline, stopping]),
          ...(isEncrypted ? encrypted : plain),
        };
        return await exchange(url, request, body);
      } catch (error) {
        if (stopping.aborted) throw error;
        const reason = deadline.aborted ? `no answer within ${timeoutMilliseconds / 1000} s` : describe(error);
        return { statusCode: null, error: reason, response: null, retryAfterSeconds: null };
      }
    },
    close: () => {
      plain.agent.destroy();
      encrypted.agent.destroy();
    },
  };
}

/** What gives a socket its addresses: those of the name that may be called, and none where there is none. */
export function allowedLookup(policy: TargetPolicy, resolve: Resolve, isEncrypted: boolean): LookupFunction {
  return (host, { all }, callback) => {
    resolve(host).then(
      (addresses) => {
        const allowed = addresses
          .filter((address) => mayCall(policy, address, isEncrypted))
          .map((address) => ({ address, family: isIP(address) }));
        const [first] = allowed;
        if (!first) callback(new TargetRefused(), '', 0);
        else if (all) callback(null, allowed);
        else callback(null, first.address, first.family);
      },
      () => callback(new TargetRefused(), '', 0),
    );
  };
}

async function exchange(url: URL, options: https.RequestOptions, body: string): Promise<Answer> {
  for (;;) {
    const client = url.protocol === 'https:' ? https : http;
    const request = client.request(url, options);
    try {
      return await answerOf(request, body);
    } catch (error) {
      // A kept connection that the server closed as we wrote; nothing was answered, and a new one may do.
      if (!(request.reusedSocket && codeOf(error) === 'ECONNRESET')) throw error;
    }
  }
}

/** Resolves with the status and the beginning of the body; what is told by the status needs no body to be whole. */
function answerOf(request: http.ClientRequest, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      // What breaks from here on breaks the body alone.
      request.off('error', reject).on('error', () => {});
      const chunks: Buffer[] = [];
      let size = 0;
      const finish = () =>
        resolve({
          statusCode: response.statusCode ?? null,
          error: null,
          response: excerpt(Buffer.concat(chunks)),
          retryAfterSeconds: readRetryAfter(response.headers['retry-after'], Date.now()),
        });
      response.on('data', (chunk: Buffer) => {
        if (size < excerptBytes) chunks.push(chunk);
        size += chunk.length;
        if (size > maxResponseBytes) response.destroy();
      });
      response.once('error', finish);
      response.once('close', finish);
    });
    request.end(body);
  });
}

/** Well-formed text of at most 1 KiB, as PostgreSQL keeps it, or null where there is none. */
export function excerpt(body: Buffer): string | null {
  const decoder = new TextDecoder();
  // As a stream: a character that the cut has halved is left out.
  const text = decoder.decode(body.subarray(0, excerptBytes), { stream: true }).replaceAll('\0', '');
  // What was no UTF-8 has grown: each wrong byte is three now.
  const cut = new TextDecoder().decode(Buffer.from(text).subarray(0, excerptBytes), { stream: true });
  return cut === '' ? null : cut;
}

const reasons: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed before the answer',
  EPIPE: 'the connection was closed before the answer',
  ETIMEDOUT: 'the connection could not be made in time',
  EHOSTUNREACH: 'the host could not be reached',
  ENETUNREACH: 'the host could not be reached',
};

/** One sentence for what cannot be resolved and what may not be called: which of them says something about our network. */
function describe(error: unknown): string {
  if (error instanceof TargetRefused) return 'the host has no address that webhooks may call';
  const code = codeOf(error);
  if (code === undefined) return 'the call failed';
  if (/CERT|SELF_SIGNED|TLS|SSL|UNABLE_TO/.test(code)) return `no secure connection could be made (${code})`;
  return reasons[code] ?? `the call failed (${code})`;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
