/** Entry of the mail worker's thread: builds its own pool and worker, then obeys `wake` and `stop`. */
import { parentPort, workerData } from 'node:worker_threads';
import { makeSecrets } from './crypto/secrets.ts';
import { connectDatabase } from './database/database.ts';
import { makeLogger } from './log.ts';
import { startWorker, type WorkerThreadData, type WorkerThreadMessage } from './start-worker.ts';

const { config, databaseUrl, secretKeys }: WorkerThreadData = workerData;
const db = connectDatabase(databaseUrl, { max: 6, name: 'postern worker' });
const secrets = makeSecrets(secretKeys.map((key) => Buffer.from(key, 'base64')));
const log = await makeLogger(config.logLevel, process.stdout.isTTY === true);
const onQueueFault = (queueFault: string | undefined) =>
  parentPort?.postMessage({ queueFault } satisfies WorkerThreadMessage);
const worker = startWorker({ config, db, databaseUrl, secrets, log, onQueueFault });

parentPort?.on('message', async (message: 'wake' | 'stop') => {
  if (message === 'wake') return worker.wake();
  await worker.stop();
  await db.end({ timeout: 5 });
  parentPort?.close();
});
