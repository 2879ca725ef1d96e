/**
 * ES256 signatures, made in a thread of our own. To hand one to Node's pool costs this thread a third of what a whole
 * request for a token does, for each wakes a thread; this one is woken once for all that came in with the same turn of
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

/** The thread is made with the first signature, and keeps no process alive that waits for none. */
export function makeSign(): Sign {
  const waiting: Batch[] = [];
  let thread: Worker | undefined;
  /** With the thread. */
  let sent: Batch | undefined;
  let knownKey: KeyObject | undefined;

  /** One batch at a time: what comes meanwhile makes the next one the larger, and messages the fewer. */
  function next(): void {
    if (sent) return;
    sent = waiting.shift();
    if (!sent) {
      thread?.unref();
      return;
    }
    thread ??= makeThread();
    const { key, inputs } = sent;
    const task: SigningTask = { inputs, ...(key !== knownKey && { key }) };
    knownKey = key;
    thread.ref();
    thread.postMessage(task);
  }

  function makeThread(): Worker {
    knownKey = undefined;
    const made = new Worker(threadFile);
    made.on('message', (result: SigningResult) => {
      const settle = sent?.settle ?? [];
      sent = undefined;
      next();
      for (const [i, { done, failed }] of settle.entries()) {
        if ('fault' in result) failed(new Error(`A token could not be signed: ${result.fault}`));
        else done(result.signatures[i] ?? '');
      }
    });
    made.on('error', () => {}); // 'exit' follows
    made.on('exit', () => {
      thread = undefined;
      for (const { failed } of sent?.settle ?? []) failed(new Error('The signing thread died.'));
      sent = undefined;
      next();
    });
    return made;
  }

  return (input, key) =>
    new Promise((done, failed) => {
      let batch = waiting.at(-1);
      if (batch?.key !== key) {
        batch = { key, inputs: [], settle: [] };
        // Once all that has arrived with this turn has been read.
        if (waiting.push(batch) === 1) setImmediate(next);
      }
      batch.inputs.push(input);
      batch.settle.push({ done, failed });
    });
}
