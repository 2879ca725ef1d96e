/** Entry of the mail worker's thread: builds its own pool and worker, then obeys. */
import { parentPort, workerData } from 'node:worker_threads';
import { makeSecrets } from './crypto/secrets.ts';
import { connectDatabase } from './database/database.ts';
import { makeLogger } from './log.ts';
import {
  startWorker,
  type WorkerThreadData,
  type WorkerThreadMessage,
  type WorkerThreadOrder,
} from './start-worker.ts';

const { config, databaseUrl, secretKeys, handoff }: WorkerThreadData = workerData;
const db = connectDatabase(databaseUrl, { max: 6, name: 'postern worker' });
const secrets = makeSecrets(secretKeys.map((key) => Buffer.from(key, 'base64')));
const log = await makeLogger(config.logLevel, process.stdout.isTTY === true);
const onQueueFault = (queueFault: string | undefined) =>
  parentPort?.postMessage({ queueFault } satisfies WorkerThreadMessage);
const worker = startWorker({ config, db, databaseUrl, secrets, log, onQueueFault, handoff });

parentPort?.on('message', async (order: WorkerThreadOrder) => {
  if (order === 'wake') return worker.wake();
  if (order !== 'stop') return worker.take(order);
  await worker.stop();
  await db.end({ timeout: 5 });
  parentPort?.close();
});
