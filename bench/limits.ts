/** What the machine allows: bare password hashing on every core, bare signatures on one, bare commits of one connection pool. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { hashSync, verifySync } from '@node-rs/argon2';
import postgres from 'postgres';
import { argon2Parameters } from '../server/src/crypto/passwords.ts';

if (!isMainThread) {
  const { seconds, verify } = workerData as { seconds: number; verify: boolean };
  const known = hashSync('correct horse battery', argon2Parameters);
  let done = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; done++) {
    if (verify) verifySync(known, 'correct horse battery');
    else hashSync('correct horse battery', argon2Parameters);
  }
  parentPort?.postMessage(done / seconds);
}

/** Hashes (or verifications) per second with Postern's own parameters, one thread a core and nothing else. */
export async function bareArgon2(seconds: number, verify: boolean): Promise<number> {
  const rates = await Promise.all(
    Array.from(
      { length: availableParallelism() },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: { seconds, verify } });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}

/** ES256 signatures per second on one core. */
export function bareSignatures(seconds: number): number {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const payload = Buffer.alloc(400, 'x');
  let done = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; done++) {
    sign('sha256', payload, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  }
  return done / seconds;
}

/** Inserts of one 1 KiB row per commit and second, 16 connections, fsync on: what one row per accepted letter would allow. */
export async function bareInserts(url: string, seconds: number): Promise<number> {
  const sql = postgres(url, { max: 16, onnotice: () => {} });
  try {
    await sql`CREATE TABLE IF NOT EXISTS bench_rows (id bigserial PRIMARY KEY, body text)`;
    const body = 'x'.repeat(1024);
    let done = 0;
    const end = performance.now() + seconds * 1000;
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        for (; performance.now() < end; done++) await sql`INSERT INTO bench_rows (body) VALUES (${body})`;
      }),
    );
    return done / seconds;
  } finally {
    await sql`DROP TABLE IF EXISTS bench_rows`;
    await sql.end();
  }
}
