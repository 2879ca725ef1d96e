/** What runs in each thread of the pool in `passwords.ts`: one password after the other, at low priority. */
import { parentPort } from 'node:worker_threads';
import { hashSync, type Options } from '@node-rs/argon2';
import { readHash } from './foreign-hashes.ts';
import { giveWay } from './thread-priority.ts';

/** `hash` absent: make one. */
export interface PasswordTask {
  password: string;
  hash?: string;
  parameters: Options;
}

export type PasswordResult = { value: string | boolean } | { fault: string };

// Requests that hash nothing go first.
giveWay(10);

parentPort?.on('message', (tasks: PasswordTask[]) => parentPort?.postMessage(tasks.map(run)));

function run({ password, hash, parameters }: PasswordTask): PasswordResult {
  try {
    return { value: hash === undefined ? hashSync(password, parameters) : readHash(hash)(password) };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}
