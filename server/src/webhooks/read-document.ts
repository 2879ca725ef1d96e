/**
 * Reading what stands at a URL that a stranger has given, by the rule that webhooks are called by: the connection goes to
 * an address that was allowed when it was looked up for this very connection, redirects and proxies are not followed.
 */
import http from 'node:http';
import https from 'node:https';
import { allowedLookup } from './send.ts';
import { type Resolve, readTarget, resolveHost, type TargetPolicy } from './target.ts';

export interface ReadDocument {
  text: string;
  /** What `Cache-Control` allows; undefined where it says nothing. */
  maxAgeSeconds: number | undefined;
}

const maxBytes = 64 * 1024;

/** @returns a function that rejects where the URL may not be called, or gives no document (200, 64 KiB) in time */
export function makeReadDocument({
  policy,
  version,
  resolve = resolveHost,
  timeoutMilliseconds = 5_000,
}: {
  policy: TargetPolicy;
  version: string;
  resolve?: Resolve;
  timeoutMilliseconds?: number;
}): (url: string) => Promise<ReadDocument> {
  const plain = { lookup: allowedLookup(policy, resolve, false) };
  const encrypted = { lookup: allowedLookup(policy, resolve, true), rejectUnauthorized: true };
  return async (given) => {
    const url = new URL(readTarget(policy, given));
    const isEncrypted = url.protocol === 'https:';
    const response = await new Promise<http.IncomingMessage>((resolved, reject) => {
      const options = {
        headers: { accept: 'application/json', 'user-agent': `Postern/${version}` },
        // For the whole of it: what comes byte by byte ends with it too.
        signal: AbortSignal.timeout(timeoutMilliseconds),
        agent: false,
        ...(isEncrypted ? encrypted : plain),
      };
      (isEncrypted ? https : http).get(url, options).once('response', resolved).on('error', reject);
    });
    const { statusCode, headers } = response;
    try {
      if (statusCode !== 200) throw new Error(`The answer was ${statusCode}.`);
      return { text: await textOf(response), maxAgeSeconds: maxAgeOf(headers['cache-control']) };
    } finally {
      response.destroy();
    }
  };
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) throw new Error('The document is larger than 64 KiB.');
  }
  return Buffer.concat(chunks).toString('utf8');
}

function maxAgeOf(cacheControl = ''): number | undefined {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return 0;
  const seconds = /\bmax-age="?(\d{1,9})\b/i.exec(cacheControl)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
