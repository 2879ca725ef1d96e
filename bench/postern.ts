/** A Postern of the benchmark's own, on an embedded PostgreSQL with fsync on. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { type Postern, type StartOptions, startPostern } from '../server/test/support/start-postern.ts';
import type { Arrangement } from './arrangement.ts';
import { letterRequest } from './letters.ts';

export interface BenchPostern extends Arrangement {
  postern: Postern;
  token: string;
  /** To look into its database with. */
  sql: postgres.Sql;
  /** Resolves once nothing waits in the queue any more. */
  drained: () => Promise<void>;
}

interface Options extends StartOptions {
  name?: string;
  /** Where letters go. Without it no worker runs. */
  smtpPort?: number;
  queueUrl?: string;
  role?: 'all' | 'api';
}

/** A Postern with a client that may send mail. */
export async function startBenchPostern({
  name = 'Postern',
  smtpPort,
  queueUrl,
  role = smtpPort === undefined ? 'api' : 'all',
  ...options
}: Options): Promise<BenchPostern> {
  const postern = await startPostern({
    ...options,
    isOnDisk: true,
    env: {
      POSTERN_ENV: 'development',
      LOG_LEVEL: 'warn',
      RATE_LIMITS: 'off',
      ...(smtpPort === undefined ? {} : { SMTP_URL: `smtp://127.0.0.1:${smtpPort}` }),
      ...(queueUrl === undefined ? {} : { QUEUE_URL: queueUrl }),
      ...options.env,
    },
    args: ['--role', role],
  });
  const token = await tokenOf(postern, 'bench', 'default');
  const sql = postgres(await databaseUrl(postern.dataDir), { max: 2, onnotice: () => {} });
  return {
    name,
    port: postern.port,
    request: letterRequest(token),
    postern,
    token,
    sql,
    drained: () => drained(sql),
    settled: (count) => settled(sql, count),
    dispose: async () => {
      await sql.end();
      await postern.dispose();
    },
  };
}

/** A worker beside a Postern that runs with the role `api`. Ready when it resolves. */
export function startWorkerOf({ postern }: BenchPostern): Promise<Postern> {
  const { dataDir, env } = postern;
  return startPostern({ dataDir, env: { ...env, LOG_LEVEL: 'info' }, args: ['--role', 'worker'], headless: true });
}

/** An access token of a new client `id` of the tenant. */
export async function tokenOf(postern: Postern, id: string, tenant: string): Promise<string> {
  const made = await postern.cli(
    'clients',
    'create',
    '--id',
    id,
    '--scope',
    'basic email',
    '--tenant',
    tenant,
    '--json',
  );
  if (made.code !== 0) throw new Error(made.stderr);
  const { status, body, text } = await postern.call('POST', '/oauth/token', {
    json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
  });
  if (status !== 200) throw new Error(text);
  return body.access_token;
}

/** Where the embedded PostgreSQL of a running Postern is. */
export async function databaseUrl(dataDir: string): Promise<string> {
  const access = JSON.parse(await readFile(join(dataDir, 'postgres-access.json'), 'utf8'));
  return `postgres://postern:${access.password}@127.0.0.1:${access.port}/postgres`;
}

/** The queue holds unfinished letters and nothing else, so that looking at it costs little. */
async function drained(sql: postgres.Sql): Promise<void> {
  while ((await sql`SELECT FROM email_queue LIMIT 1`).length > 0) await sleep(20);
}

async function settled(sql: postgres.Sql, count: number): Promise<void> {
  await drained(sql);
  const statuses = await sql<{ status: string; count: number }[]>`
    SELECT status, count(*)::integer AS count FROM emails GROUP BY status`;
  const sent = statuses.find(({ status }) => status === 'sent')?.count ?? 0;
  if (sent !== count) throw new Error(`${sent} of ${count} letters are sent: ${JSON.stringify(statuses)}`);
}
