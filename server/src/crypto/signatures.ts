/**
 * Tokens, encoded and signed ES256 in a thread of our own. To have each signed by Node's pool costs this thread a third of what
 * a whole request for a token does, for each wakes a thread; ours is woken once for many of those that came in with the same
 * turn of the event loop.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Signer, SigningResult, SigningTask } from './signing-thread.ts';

/**
 * Returns the JWS of `payload`, in the compact form.
 * @param signer the same object for as long as it is the same key
 */
export type Sign = (payload: string, signer: Signer) => Promise<string>;

interface Batch {
  signer: Signer;
  payloads: string[];
  settle: { done: (token: string) => void; failed: (error: Error) => void }[];
}

const threadFile = new URL(`./signing-thread${extname(import.meta.url)}`, import.meta.url);

/**
 * While the thread signs one batch another waits at its door, so that neither side waits for the other; and a batch is
 * small enough that the first tokens of a crowd are on their way while the last are being signed.
 */
const maxSent = 2;
const maxTogether = 16;

/** The thread is made with the first signature, and keeps no process alive that waits for none. */
export function makeSign(): Sign {
  const waiting: Batch[] = [];
  let thread: Worker | undefined;
  /** With the thread, in order. */
  let sent: Batch[] = [];
  let known: Signer | undefined;

  function next(): void {
    while (sent.length < maxSent) {
      const batch = waiting.shift();
      if (!batch) break;
      sent.push(batch);
      thread ??= makeThread();
      const { signer, payloads } = batch;
      const task: SigningTask = signer === known ? { payloads } : { signer, payloads };
      known = signer;
      thread.postMessage(task);
    }
    if (sent.length > 0) thread?.ref();
    else thread?.unref();
  }

  function makeThread(): Worker {
    known = undefined;
    const made = new Worker(threadFile);
    made.on('message', (result: SigningResult) => {
      const { settle = [] } = sent.shift() ?? {};
      next();
      for (const [i, { done, failed }] of settle.entries()) {
        if ('fault' in result) failed(new Error(`A token could not be signed: ${result.fault}`));
        else done(result.tokens[i] ?? '');
      }
    });
    made.on('error', () => {}); // 'exit' follows
    made.on('exit', () => {
      thread = undefined;
      const lost = sent.flatMap(({ settle }) => settle);
      sent = [];
      for (const { failed } of lost) failed(new Error('The signing thread died.'));
      next();
    });
    return made;
  }

  return (payload, signer) =>
    new Promise((done, failed) => {
      let batch = waiting.at(-1);
      if (batch?.signer !== signer || batch.payloads.length >= maxTogether) {
        batch = { signer, payloads: [], settle: [] };
        // Once all that has arrived with this turn has been read.
        if (waiting.push(batch) === 1) setImmediate(next);
      }
      batch.payloads.push(payload);
      batch.settle.push({ done, failed });
    });
}
