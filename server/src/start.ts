/**
 * The only constructor. It builds the world once — database, secrets, then mail workers, HTTP, or both — and takes it down
 * again in the opposite order. Nothing else knows how the parts are joined, but for its two halves: `start-worker.ts`
 * delivers, `start-api.ts` answers.
 */
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { readSecretKeys } from './crypto/secret-key-file.ts';
import { makeSecrets } from './crypto/secrets.ts';
import { migrate } from './database/migrate.ts';
import { openDatabase } from './database/open.ts';
import { noHandoff } from './delivery/handoff.ts';
import { startWorker, startWorkerThread } from './start-worker.ts';

export type Role = 'all' | 'api' | 'worker';

export interface Running {
  /** Where everything is, for a person; empty where only a program reads the log. */
  banner: string;
  /** Stops accepting, finishes what is in flight, releases what is not started. */
  stop: () => Promise<void>;
}

/** What is to be undone at the end, the latest first. */
export type Stops = (() => Promise<void>)[];

/** Builds and starts what `role` asks for. What was started before a fault is stopped again. */
export async function start({ config, role, log }: { config: Config; role: Role; log: Logger }): Promise<Running> {
  const stops: Stops = [];
  const stop = async () => {
    for (let undo = stops.pop(); undo; undo = stops.pop()) await undo();
  };
  try {
    const secretKeys = await readSecretKeys(config);
    const secrets = makeSecrets(secretKeys);
    const database = await openDatabase(config, log, { max: 16, name: `postern ${role}` });
    stops.push(database.close);
    const { db } = database;
    for (const name of await migrate(db)) log.info(`applied migration ${name}`);

    if (role === 'worker') {
      const worker = startWorker({ config, db, databaseUrl: database.url, secrets, log });
      stops.push(worker.stop);
      log.info('worker ready');
      return { banner: '', stop };
    }

    // Most of the code there is, which a worker has no use for.
    const { startApi } = await import('./start-api.ts');
    const isDevelopment = config.environment === 'development';
    // The SMTP server of development, which production never loads.
    const inbox = isDevelopment
      ? await (await import('./inbox/smtp.ts')).startInbox({ db, log, port: config.inboxPort })
      : undefined;
    if (inbox) stops.push(inbox.close);
    const actual = inbox ? { ...config, inboxPort: inbox.port } : config;
    const workers =
      role === 'all' ? startWorkerThread({ config: actual, databaseUrl: database.url, secretKeys, log }) : undefined;
    if (workers) stops.push(workers.stop);
    const wakeWorkers = () => workers?.wake();
    const handoff = () => workers?.handoff() ?? noHandoff;
    const queueFault = config.queueUrl === undefined ? undefined : workers?.queueFault;
    const banner = await startApi({
      config: actual,
      database,
      secrets,
      log,
      inbox,
      wakeWorkers,
      handoff,
      queueFault,
      stops,
    });
    return { banner, stop };
  } catch (error) {
    await stop().catch((fault) => log.error({ err: fault }, 'could not clean up'));
    throw error;
  }
}
