/** What the machine allows: bare password hashing and signatures on every core, bare commits of one connection pool. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { hashSync, verifySync } from '@node-rs/argon2';
import postgres from 'postgres';
import { argon2Parameters } from '../server/src/crypto/passwords.ts';

type Work = 'hash' | 'verify' | 'sign';

const preparations: Record<Work, () => () => void> = {
  hash: () => () => hashSync('correct horse battery', argon2Parameters),
  verify: () => {
    const known = hashSync('correct horse battery', argon2Parameters);
    return () => verifySync(known, 'correct horse battery');
  },
  sign: () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const payload = Buffer.alloc(400, 'x');
    // As Node does it fastest: the bare key, and the signature as it comes out of OpenSSL.
    return () => sign('sha256', payload, privateKey);
  },
};

if (!isMainThread) {
  const { seconds, work } = workerData as { seconds: number; work: Work };
  const once = preparations[work]();
  let done = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; done++) once();
  parentPort?.postMessage(done / seconds);
}

/** Hashes (or verifications) per second with Postern's own parameters, one thread a core and nothing else. */
export function bareArgon2(seconds: number, verify: boolean): Promise<number> {
  return onAllCores(seconds, verify ? 'verify' : 'hash');
}

/** ES256 signatures per second, one thread a core and nothing else. */
export function bareSignaturesOnAllCores(seconds: number): Promise<number> {
  return onAllCores(seconds, 'sign');
}

async function onAllCores(seconds: number, work: Work): Promise<number> {
  const rates = await Promise.all(
    Array.from(
      { length: availableParallelism() },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: { seconds, work } });
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
