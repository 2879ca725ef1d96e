/**
 * Passwords are hashed by argon2id in threads of our own, as many as cores. Node's shared pool would do it too, but then
 * signatures, DNS and files wait behind hashes; and without a bound, a burst of logins would take all memory (19 MiB
 * each) and make everyone wait until everyone has given up.
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { defineError } from '../errors.ts';
import { takeTurns } from '../turns.ts';
import type { PasswordResult, PasswordTask } from './password-thread.ts';

/** OWASP's first choice for argon2id; memory in KiB. */
export const argon2Parameters = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 };

/** The rule of the schema `NewPassword`, where no schema has checked it. */
export function isUsablePassword(password: string): boolean {
  return password.length >= 8 && password.length <= 1024;
}

export const busy = defineError('auth.busy', 503, 'Too many passwords are being checked at once');

export interface PasswordHasher {
  /**
   * Runs work that comes to `verify` in the end, a little more of it at once than there are threads: what is counted
   * before a password is checked is then never counted for a crowd that only waits.
   * @throws busy
   */
  inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** @throws busy */
  hash: (password: string) => Promise<string>;
  /**
   * Compares with a stored hash; where there is none it costs the same and fails (S1).
   * @returns `needsRehash`: it matched, but the hash was made with other parameters than today's
   * @throws busy
   */
  verify: (hash: string | undefined, password: string) => Promise<{ ok: boolean; needsRehash: boolean }>;
  close: () => Promise<void>;
}

interface Job {
  task: PasswordTask;
  deadline: number;
  done: (value: string | boolean) => void;
  failed: (error: Error) => void;
}

// A login that took longer than this has been given up by whoever waits for it.
const deadlineMs = 10_000;
const maxWaiting = 2_000;

/**
 * Where more wait than there are threads, one takes several at a time and answers for all of them at once: what comes
 * before and after a hash, statements above all, is then done for several logins together.
 */
const maxTogether = 4;

const { memoryCost, timeCost, parallelism } = argon2Parameters;
const currentPrefix = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$`;

const threadFile = new URL(`./password-thread${extname(import.meta.url)}`, import.meta.url);

export function makePasswordHasher({ threads = availableParallelism() } = {}): PasswordHasher {
  const waiting: Job[] = [];
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const running = new Map<Worker, Job[]>();
  // A hash of nothing: it was never the hash of any password, and verifying it takes as long as any other.
  const dummy = `${currentPrefix}${unpadded(randomBytes(16))}$${unpadded(randomBytes(32))}`;
  let closed = false;

  /** Threads are made when first needed: a command that checks no password should not wait for them. */
  function makeThread(): Worker {
    const thread = new Worker(threadFile);
    all.add(thread);
    thread.on('message', (results: PasswordResult[]) => {
      const jobs = running.get(thread) ?? [];
      running.delete(thread);
      // An idle thread must not keep a finished command alive, a busy one must.
      thread.unref();
      idle.push(thread);
      next();
      for (const [index, { done, failed }] of jobs.entries()) {
        const result = results[index];
        if (result && 'value' in result) done(result.value);
        else failed(new Error(`A password could not be checked or hashed: ${result?.fault}`));
      }
    });
    thread.on('error', () => {}); // 'exit' follows
    thread.on('exit', () => {
      all.delete(thread);
      if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1);
      for (const { failed } of running.get(thread) ?? []) failed(new Error('A password thread died.'));
      running.delete(thread);
      if (!closed) next();
    });
    return thread;
  }

  function next(): void {
    while (idle.length > 0 || all.size < threads) {
      const jobs = takeTimely(Math.min(maxTogether, Math.ceil(waiting.length / threads)));
      if (jobs.length === 0) return;
      const thread = idle.pop() ?? makeThread();
      running.set(thread, jobs);
      thread.ref();
      thread.postMessage(jobs.map(({ task }) => task));
    }
  }

  function takeTimely(count: number): Job[] {
    const jobs: Job[] = [];
    while (jobs.length < count) {
      const job = waiting.shift();
      if (!job) break;
      if (job.deadline > performance.now()) jobs.push(job);
      else job.failed(busy({ detail: 'Try again in a moment.', retryAfterSeconds: 2 }));
    }
    return jobs;
  }

  function run(task: PasswordTask): Promise<string | boolean> {
    if (closed || waiting.length >= maxWaiting) {
      return Promise.reject(busy({ detail: 'Try again in a moment.', retryAfterSeconds: 5 }));
    }
    return new Promise((done, failed) => {
      waiting.push({ task, deadline: performance.now() + deadlineMs, done, failed });
      next();
    });
  }

  return {
    inTurn: takeTurns(Math.min(16, 2 * threads * maxTogether), deadlineMs, () =>
      busy({ detail: 'Try again in a moment.', retryAfterSeconds: 5 }),
    ),
    hash: async (password) => String(await run({ password, parameters: argon2Parameters })),
    verify: async (hash, password) => {
      const matches = await run({ password, hash: hash ?? dummy, parameters: argon2Parameters });
      const ok = hash !== undefined && matches === true;
      return { ok, needsRehash: ok && !hash.startsWith(currentPrefix) };
    },
    close: async () => {
      closed = true;
      for (const job of waiting.splice(0)) job.failed(busy());
      await Promise.all([...all].map((thread) => thread.terminate()));
    },
  };
}

/** Base64 as PHC strings have it. */
function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
