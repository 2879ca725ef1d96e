/** The mail worker, in this thread or on one of its own: the half of the world that delivers. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Secrets } from './crypto/secrets.ts';
import type { Database } from './database/database.ts';
import { type MailWorker, startMailWorker } from './emails/worker.ts';
import { PostgresQueue } from './queue/postgres.ts';
import { SmtpTransport } from './transport/smtp.ts';

/** The mail worker of this thread: takes due letters from the queue and delivers them. */
export function startWorker({
  config,
  db,
  secrets,
  log,
}: {
  config: Config;
  db: Database;
  secrets: Secrets;
  log: Logger;
}): MailWorker {
  const urls = config.smtpUrls.length > 0 ? config.smtpUrls : [`smtp://127.0.0.1:${config.inboxPort}`];
  return startMailWorker({
    db,
    queue: new PostgresQueue({ db, log }),
    transport: new SmtpTransport({ urls }),
    secrets,
    log,
  });
}

/** What a worker thread needs to build its own corner of the world; it can only be handed plain data. */
export interface WorkerThreadData {
  config: Config;
  databaseUrl: string;
  secretKeys: string[];
}

/** Runs the mail worker on a thread of its own, so that rendering and SMTP never delay an HTTP answer. */
export function startWorkerThread({
  config,
  databaseUrl,
  secretKeys,
  log,
}: {
  config: Config;
  databaseUrl: string;
  secretKeys: Buffer[];
  log: Logger;
}) {
  const entry = new URL(`./worker-thread${extname(import.meta.url)}`, import.meta.url);
  const workerData: WorkerThreadData = {
    config,
    databaseUrl,
    secretKeys: secretKeys.map((key) => key.toString('base64')),
  };
  let stopping = false;
  let thread: Worker | undefined;
  const launch = () => {
    thread = new Worker(entry, { workerData });
    thread.on('error', (error) => log.error({ err: error }, 'the mail worker failed'));
    thread.on('exit', (code) => {
      thread = undefined;
      if (stopping) return;
      log.error(`the mail worker ended with code ${code}; starting it again`);
      setTimeout(() => stopping || launch(), 1_000);
    });
  };
  launch();
  return {
    wake: () => thread?.postMessage('wake'),
    stop: async () => {
      stopping = true;
      // It may have failed just now; then there is nothing to wait for.
      const ended = new Promise((resolve) => (thread ? thread.once('exit', resolve) : resolve(undefined)));
      thread?.postMessage('stop');
      await ended;
    },
  };
}
