/** What a team would put together instead: `peers/api.ts` and `peers/worker.ts` as two processes, a broker between them. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import postgres from 'postgres';
import { openEmbedded } from '../server/src/database/embedded.ts';
import { removeData } from '../server/test/support/start-postern.ts';
import type { Arrangement } from './arrangement.ts';
import { amqpUrl, startRedis } from './brokers.ts';
import { startChild } from './child.ts';
import { letterRequest } from './letters.ts';
import { arePeersInstalled } from './peer-packages.ts';

export interface GlueBroker {
  name: string;
  kind: 'bullmq' | 'rabbitmq';
}

/** The glue this machine can run. */
export async function availableGlue(): Promise<GlueBroker[]> {
  if (!arePeersInstalled()) return [];
  const redis = await startRedis();
  await redis?.end();
  return [
    ...(redis ? [{ name: 'glue, BullMQ', kind: 'bullmq' as const }] : []),
    ...((await amqpUrl()) ? [{ name: 'glue, RabbitMQ', kind: 'rabbitmq' as const }] : []),
  ];
}

/** Starts it with a database, and for BullMQ a Redis, of its own. */
export async function startGlue({
  broker,
  smtpPort = 0,
  worker: hasWorker = true,
}: {
  broker: GlueBroker;
  smtpPort?: number;
  worker?: boolean;
}): Promise<Arrangement> {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-bench-glue-'));
  const database = await openEmbedded(dataDir, pino({ level: 'silent' }));
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  await sql.file(new URL('./peers/schema.sql', import.meta.url).pathname);
  const redis = broker.kind === 'bullmq' ? await startRedis() : undefined;
  const env = {
    NODE_ENV: 'production',
    GLUE_DATABASE_URL: database.url,
    GLUE_BROKER: broker.kind,
    GLUE_BROKER_URL: redis?.url ?? (await amqpUrl()) ?? '',
    GLUE_QUEUE: `bench-mails-${process.pid}-${Date.now()}`,
    GLUE_SMTP_PORT: String(smtpPort),
  };
  const api = await startChild('./peers/api.ts', env);
  const worker = hasWorker ? await startChild('./peers/worker.ts', env) : undefined;
  return {
    name: broker.name,
    port: Number(api.hello.port),
    request: letterRequest(String(api.hello.token)),
    settled: async (count) => {
      while (Number((await worker?.ask('count'))?.settled) < count) await sleep(20);
      const [row] = await sql<{ sent: number }[]>`
        SELECT count(*)::integer AS sent FROM mails WHERE status = 'sent'`;
      if (row?.sent !== count) throw new Error(`${row?.sent} of ${count} letters are sent`);
    },
    dispose: async () => {
      await api.end();
      await worker?.end();
      await redis?.end();
      await sql.end();
      await database.close();
      await removeData(dataDir);
    },
  };
}
