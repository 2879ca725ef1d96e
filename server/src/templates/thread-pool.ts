/**
 * Threads for templates, each made when first needed. A tenant has one of them at a time and its tasks wait in a line of
 * their own, so that a template that never ends delays the letters of nobody else. A thread that gives no sign within
 * the deadline is killed, and so is one that takes too much memory; the task it was at fails, the others are given to
 * the next thread.
 */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { renderBusy } from './errors.ts';
import type { Content } from './template.ts';
import type { Order, Report, ResultOf, Task, TaskResult } from './template-thread.ts';

export interface PoolLimits {
  threads: number;
  /** Of one task, once its thread runs. */
  deadlineMs: number;
  /** A thread that had nothing to do for so long gives its memory back. */
  idleMs: number;
}

export interface ThreadPool {
  /**
   * @param sources those that the task names
   * @throws renderBusy where too much waits, or waited too long
   */
  run: <T extends Task>(tenantId: string, task: T, sources: Record<string, Content>) => Promise<ResultOf<T>>;
  close: () => Promise<void>;
}

interface Job {
  task: Task;
  sources: Record<string, Content>;
  giveUpAt: number;
  done: (result: TaskResult) => void;
  failed: (error: Error) => void;
}

interface Thread {
  worker: Worker;
  isReady: boolean;
  /** What it is at. Finished ones are undefined. */
  jobs: (Job | undefined)[];
  tenantId: string | undefined;
  knownSources: Set<string>;
  knownCharacters: number;
  timer: NodeJS.Timeout | undefined;
}

const maxTasksAtOnce = 500;
const maxWaitingOfTenant = 2_000;
const maxWaitMs = 10_000;
// Made and parsed sources weigh several times as much.
const maxKnownCharacters = 4_000_000;

const threadFile = new URL(`./template-thread${extname(import.meta.url)}`, import.meta.url);
const resourceLimits = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32 };

const tookTooLong: TaskResult = { fault: { kind: 'limit', message: 'it takes too much time or memory' } };

export function makeThreadPool(
  { log }: { log: Logger },
  { threads: maxThreads, deadlineMs, idleMs }: PoolLimits,
): ThreadPool {
  const threads = new Set<Thread>();
  /** Each tenant's line; the tenant at the front is next. */
  const lines = new Map<string, Job[]>();
  let isClosed = false;

  function run<T extends Task>(tenantId: string, task: T, sources: Record<string, Content>): Promise<ResultOf<T>> {
    const line = lines.get(tenantId) ?? [];
    if (isClosed || line.length >= maxWaitingOfTenant) {
      return Promise.reject(renderBusy({ detail: 'Try again in a moment.', retryAfterSeconds: 2 }));
    }
    return new Promise((done, failed) => {
      // A thread answers each task with a result of its kind.
      const answer = (result: TaskResult) => done(result as ResultOf<T>);
      line.push({ task, sources, giveUpAt: performance.now() + maxWaitMs, done: answer, failed });
      lines.set(tenantId, line);
      // What is asked for in the same turn goes in one message.
      if (line.length === 1) setImmediate(next);
    });
  }

  function next(): void {
    for (const [tenantId, line] of lines) {
      if ([...threads].some((one) => one.tenantId === tenantId)) continue;
      const thread = [...threads].find((one) => one.tenantId === undefined) ?? makeThread();
      if (!thread) return;
      lines.delete(tenantId);
      const jobs = line.splice(0, maxTasksAtOnce).filter(isTimely);
      if (line.length > 0) lines.set(tenantId, line);
      if (jobs.length > 0) give(thread, tenantId, jobs);
    }
  }

  function give(thread: Thread, tenantId: string, jobs: Job[]): void {
    thread.jobs = jobs;
    thread.tenantId = tenantId;
    thread.worker.ref();
    thread.worker.postMessage(orderOf(thread, jobs));
    if (thread.isReady) watch(thread);
  }

  /** Kills the thread unless it gives a sign in time. */
  function watch(thread: Thread): void {
    clearTimeout(thread.timer);
    thread.timer = setTimeout(() => {
      // Signs may wait to be read where this thread was busy itself.
      const before = thread.timer;
      setImmediate(() => thread.timer === before && void thread.worker.terminate());
    }, deadlineMs);
  }

  function makeThread(): Thread | undefined {
    if (threads.size >= maxThreads || isClosed) return undefined;
    const worker = new Worker(threadFile, { resourceLimits });
    const thread: Thread = {
      worker,
      isReady: false,
      jobs: [],
      tenantId: undefined,
      knownSources: new Set(),
      knownCharacters: 0,
      timer: undefined,
    };
    threads.add(thread);
    worker.on('message', (message: Report) => hear(thread, message));
    // 'exit' follows.
    worker.on('error', (error) => log.warn({ err: error }, 'a template thread failed'));
    worker.on('exit', () => bury(thread));
    return thread;
  }

  function hear(thread: Thread, message: Report): void {
    watch(thread);
    if (message === 'ready') {
      thread.isReady = true;
    } else if (message === 'done') {
      rest(thread);
    } else {
      thread.jobs[message.index]?.done(message.result);
      thread.jobs[message.index] = undefined;
    }
  }

  function rest(thread: Thread): void {
    putBack(thread);
    // An idle thread must not keep a finished program alive, a busy one must.
    thread.worker.unref();
    clearTimeout(thread.timer);
    thread.timer = setTimeout(() => thread.worker.terminate(), idleMs).unref();
    next();
  }

  function bury(thread: Thread): void {
    clearTimeout(thread.timer);
    threads.delete(thread);
    const blamed = thread.jobs.findIndex((job) => job !== undefined);
    if (isClosed || !thread.isReady) {
      for (const job of thread.jobs) job?.failed(renderBusy({ detail: 'Rendering has stopped.' }));
      thread.jobs = [];
    } else if (blamed >= 0) {
      thread.jobs[blamed]?.done(tookTooLong);
      thread.jobs[blamed] = undefined;
    }
    putBack(thread);
    if (!isClosed) next();
  }

  /** What the thread did not come to goes to the front of its tenant's line, and the tenant behind the others. */
  function putBack(thread: Thread): void {
    const { tenantId } = thread;
    const left = thread.jobs.filter((job) => job !== undefined);
    thread.jobs = [];
    thread.tenantId = undefined;
    if (tenantId === undefined || left.length === 0) return;
    const line = lines.get(tenantId) ?? [];
    lines.delete(tenantId);
    lines.set(tenantId, [...left, ...line]);
  }

  return {
    run,
    close: async () => {
      isClosed = true;
      for (const line of lines.values()) for (const job of line) job.failed(renderBusy());
      lines.clear();
      // Whoever awaits this must not be gone before the threads are.
      for (const { worker } of threads) worker.ref();
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

function isTimely({ giveUpAt, failed }: Job): boolean {
  if (giveUpAt > performance.now()) return true;
  failed(renderBusy({ detail: 'Try again in a moment.', retryAfterSeconds: 5 }));
  return false;
}

/** The tasks, and those of their sources that the thread does not have. */
function orderOf(thread: Thread, jobs: Job[]): Order {
  const isAfresh = thread.knownCharacters > maxKnownCharacters;
  if (isAfresh) {
    thread.knownSources.clear();
    thread.knownCharacters = 0;
  }
  const sources: Record<string, Content> = {};
  for (const [key, content] of jobs.flatMap((job) => Object.entries(job.sources))) {
    if (thread.knownSources.has(key)) continue;
    thread.knownSources.add(key);
    thread.knownCharacters +=
      (content.html?.length ?? 0) + (content.text?.length ?? 0) + (content.subject?.length ?? 0);
    sources[key] = content;
  }
  return { tasks: jobs.map(({ task }) => task), sources, isAfresh };
}
