/** The workers, in this thread or on one of its own: the half of the world that delivers letters and webhooks. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { recordAudit } from './audit/record.ts';
import type { Config } from './config.ts';
import type { Secrets } from './crypto/secrets.ts';
import { connectDatabase, type Database } from './database/database.ts';
import { type HandedLetters, makeHandoff, makeWindow, noHandoff } from './delivery/handoff.ts';
import { makeJournalFolder } from './delivery/journal.ts';
import { type MailWorker, startMailWorker } from './delivery/worker.ts';
import { makeDkimKeyring } from './domains/dkim-keyring.ts';
import { openQueue } from './queue/open.ts';
import { defaultTenantSlug } from './tenants/tenants.ts';
import { SmtpTransport } from './transport/smtp.ts';
import { version } from './version.ts';
import { makeSender } from './webhooks/send.ts';
import { makeTargetPolicy } from './webhooks/target.ts';
import { startWebhookWorker } from './webhooks/worker.ts';

/**
 * The workers of this thread: one takes due letters from the queue and delivers them, the other calls webhooks.
 * @param onQueueFault told what is wrong while letters go past the broker of QUEUE_URL, and `undefined` once it is well
 */
export function startWorker({
  config,
  db,
  databaseUrl,
  secrets,
  log,
  onQueueFault,
  handoff,
}: {
  config: Config;
  db: Database;
  databaseUrl: string;
  secrets: Secrets;
  log: Logger;
  onQueueFault?: (fault: string | undefined) => void;
  handoff?: Int32Array<SharedArrayBuffer>;
}): MailWorker {
  const urls = config.smtpUrls.length > 0 ? config.smtpUrls : [`smtp://127.0.0.1:${config.inboxPort}`];
  const queue = openQueue({ db, log, url: config.queueUrl, onFault: onQueueFault });
  const delivery = connectDatabase(databaseUrl, { max: 4, name: 'postern worker', byIndex: true });
  const mail = startMailWorker({
    db: delivery,
    queue,
    transport: new SmtpTransport({ urls, connections: config.smtpConnections }),
    // While one letter of a connection waits for its reply, the next is on its way.
    slots: 3 * config.smtpConnections,
    secrets,
    log,
    handoff,
    dataDir: config.dataDir,
    publicUrl: config.publicUrl,
    // The operator's own domain, whose letters go out for every tenant.
    findDkimKeys: makeDkimKeyring({
      db,
      secrets,
      mailFrom: { address: config.mailFrom.address, tenantSlug: defaultTenantSlug },
    }),
  });
  queue.onWork(mail.wake);
  const sender = makeSender({ policy: makeTargetPolicy(config), version });
  const webhooks = startWebhookWorker({ db, secrets, log, sender, recordAudit });
  return {
    wake: () => {
      queue.wake();
      mail.wake();
    },
    take: mail.take,
    stop: async () => {
      // The queue at once too: what arrives from now on is for others.
      await Promise.all([mail.stop(), queue.close(), webhooks.stop()]);
      await delivery.end({ timeout: 5 });
    },
  };
}

/** What a worker thread needs to build its own corner of the world; it can only be handed plain data. */
export interface WorkerThreadData {
  config: Config;
  databaseUrl: string;
  secretKeys: string[];
  handoff: Int32Array<SharedArrayBuffer>;
}

/** What a worker thread is told: that work was committed, that letters are handed over, that it should end. */
export type WorkerThreadOrder = 'wake' | HandedLetters | 'stop';

/** What a worker thread tells. */
export interface WorkerThreadMessage {
  queueFault: string | undefined;
}

// By itself the young generation grows to 96 MiB under the pieces of large letters, and stays there.
const resourceLimits = { maxYoungGenerationSizeMb: 32 };

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
  // Here, so that a folder that cannot be written ends the start, rather than the thread again and again.
  makeJournalFolder(config.dataDir);
  const entry = new URL(`./worker-thread${extname(import.meta.url)}`, import.meta.url);
  let stopping = false;
  let thread: Worker | undefined;
  let queueFault: string | undefined;
  let handoff = noHandoff;
  const tell = (order: WorkerThreadOrder) => thread?.postMessage(order);
  const launch = () => {
    const window = makeWindow();
    handoff = makeHandoff(window, tell);
    const workerData: WorkerThreadData = {
      config,
      databaseUrl,
      secretKeys: secretKeys.map((key) => key.toString('base64')),
      handoff: window,
    };
    thread = new Worker(entry, { workerData, resourceLimits });
    thread.on('message', (message: WorkerThreadMessage) => {
      queueFault = message.queueFault;
    });
    thread.on('error', (error) => log.error({ err: error }, 'the mail worker failed'));
    thread.on('exit', (code) => {
      thread = undefined;
      handoff = noHandoff;
      if (stopping) return;
      log.error(`the mail worker ended with code ${code}; starting it again`);
      setTimeout(() => stopping || launch(), 1_000);
    });
  };
  launch();
  return {
    wake: () => tell('wake'),
    /** To the thread that runs now. */
    handoff: () => handoff,
    /** What is wrong with the broker of QUEUE_URL, if so. */
    queueFault: () => queueFault,
    stop: async () => {
      stopping = true;
      // It may have failed just now; then there is nothing to wait for.
      const ended = new Promise((resolve) => (thread ? thread.once('exit', resolve) : resolve(undefined)));
      tell('stop');
      await ended;
    },
  };
}
