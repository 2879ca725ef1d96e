/**
 * ES256 signatures, made in a thread of our own. To hand one to Node's pool costs this thread a third of what a whole
 * request for a token does, for each wakes a thread; this one is woken once for many of those that came in with the same turn of
 * the event loop.
 */
import type { KeyObject } from 'node:crypto';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { SigningResult, SigningTask } from './signing-thread.ts';

/** Returns the signature of `input` as JWS writes it, in base64url. */
export type Sign = (input: string, key: KeyObject) => Promise<string>;

interface Batch {
  key: KeyObject;
  inputs: string[];
  settle: { done: (signature: string) => void; failed: (error: Error) => void }[];
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
  let knownKey: KeyObject | undefined;

  function next(): void {
    while (sent.length < maxSent) {
      const batch = waiting.shift();
      if (!batch) break;
      sent.push(batch);
      thread ??= makeThread();
      const task: SigningTask = { inputs: batch.inputs, ...(batch.key !== knownKey && { key: batch.key }) };
      knownKey = batch.key;
      thread.postMessage(task);
    }
    if (sent.length > 0) thread?.ref();
    else thread?.unref();
  }

  function makeThread(): Worker {
    knownKey = undefined;
    const made = new Worker(threadFile);
    made.on('message', (result: SigningResult) => {
      const { settle = [] } = sent.shift() ?? {};
      next();
      for (const [i, { done, failed }] of settle.entries()) {
        if ('fault' in result) failed(new Error(`A token could not be signed: ${result.fault}`));
        else done(result.signatures[i] ?? '');
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

  return (input, key) =>
    new Promise((done, failed) => {
      let batch = waiting.at(-1);
      if (batch?.key !== key || batch.inputs.length >= maxTogether) {
        batch = { key, inputs: [], settle: [] };
        // Once all that has arrived with this turn has been read.
        if (waiting.push(batch) === 1) setImmediate(next);
      }
      batch.inputs.push(input);
      batch.settle.push({ done, failed });
    });
}
