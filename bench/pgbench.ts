/** What PostgreSQL commits: one changed row each, by its own `pgbench` where the machine has it. */
import { execFile } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import postgres from 'postgres';
import { has } from './machine.ts';

const clients = 16;
const rows = 100_000;

export interface Commits {
  perSecond: number;
  /** What made them. */
  driver: string;
}

/** Commits per second of 16 clients, each changing one row of 100,000 at a time; fsync is on. */
export async function rowCommits(url: string, seconds: number): Promise<Commits> {
  const sql = postgres(url, { max: clients, onnotice: () => {} });
  try {
    await sql`CREATE TABLE bench_rows AS SELECT id, 0 AS changes FROM generate_series(1, ${rows}::integer) AS id`;
    await sql`ALTER TABLE bench_rows ADD PRIMARY KEY (id)`;
    await sql`VACUUM (ANALYZE) bench_rows`;
    await sql`CHECKPOINT`;
    const program = findPgbench();
    if (program !== undefined) return { perSecond: await byPgbench(program, url, seconds), driver: 'pgbench' };
    return { perSecond: await byOurselves(sql, seconds), driver: 'postgres.js (no pgbench here)' };
  } finally {
    await sql`DROP TABLE IF EXISTS bench_rows`;
    await sql.end();
  }
}

/** Debian keeps it off the PATH. */
function findPgbench(): string | undefined {
  return has('pgbench') ? 'pgbench' : globSync('/usr/lib/postgresql/*/bin/pgbench').sort().find(existsSync);
}

async function byPgbench(program: string, url: string, seconds: number): Promise<number> {
  const { hostname, port, username, password, pathname } = new URL(url);
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-pgbench-'));
  const script = join(folder, 'commit.sql');
  await writeFile(script, `\\set id random(1, ${rows})\nUPDATE bench_rows SET changes = changes + 1 WHERE id = :id;\n`);
  try {
    const time = ['--time', String(Math.max(1, Math.round(seconds)))];
    const load = ['--client', String(clients), '--jobs', '2', '--protocol', 'prepared', '--no-vacuum'];
    const { stdout } = await promisify(execFile)(program, [...load, ...time, '--file', script, pathname.slice(1)], {
      env: { ...process.env, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password },
    });
    const tps = /^tps = ([\d.]+)/m.exec(stdout)?.[1];
    if (tps === undefined) throw new Error(`pgbench said: ${stdout}`);
    return Number(tps);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same statement over the same protocol. */
async function byOurselves(sql: postgres.Sql, seconds: number): Promise<number> {
  let done = 0;
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (; performance.now() < end; done++) {
        const id = 1 + Math.floor(Math.random() * rows);
        await sql`UPDATE bench_rows SET changes = changes + 1 WHERE id = ${id}`;
      }
    }),
  );
  return done / seconds;
}
