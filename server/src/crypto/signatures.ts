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
  let open: Batch | undefined;
  let send: ((batch: Batch) => void) | undefined;

  function sendOpen(): void {
    const batch = open;
    open = undefined;
    if (!batch) return;
    send ??= startThread(() => {
      send = undefined;
    });
    send(batch);
  }

  return (input, key) =>
    new Promise((done, failed) => {
      if (open && open.key !== key) sendOpen();
      if (!open) {
        open = { key, inputs: [], settle: [] };
        // After all that has arrived with this turn has been read.
        setImmediate(sendOpen);
      }
      open.inputs.push(input);
      open.settle.push({ done, failed });
    });
}

function startThread(onEnd: () => void): (batch: Batch) => void {
  const thread = new Worker(threadFile);
  /** With the thread; it answers in the order in which it was asked. */
  const sent: Batch[] = [];
  let key: KeyObject | undefined;
  const failAll = (batches: Batch[], error: Error) => {
    for (const { settle } of batches) for (const { failed } of settle) failed(error);
  };
  thread.on('message', (result: SigningResult) => {
    const batch = sent.shift();
    if (sent.length === 0) thread.unref();
    if (!batch) return;
    if ('fault' in result) return failAll([batch], new Error(`A token could not be signed: ${result.fault}`));
    for (const [i, { done }] of batch.settle.entries()) done(result.signatures[i] ?? '');
  });
  thread.on('error', () => {}); // 'exit' follows
  thread.on('exit', () => {
    onEnd();
    failAll(sent, new Error('The signing thread died.'));
  });
  return (batch) => {
    const task: SigningTask = { inputs: batch.inputs, ...(batch.key !== key && { key: batch.key }) };
    key = batch.key;
    if (sent.push(batch) === 1) thread.ref();
    thread.postMessage(task);
  };
}
