/**
 * `npm run bench [-- --json FILE] [-- --seconds N]`: starts a Postern of its own on an embedded PostgreSQL (fsync on),
 * drives it through its HTTP door, and prints medians of three beside the limits of the same machine in the same run.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Postern, removeData, startPostern } from '../server/test/support/start-postern.ts';
import { waitFor } from '../server/test/support/wait-for.ts';
import { drive, jsonRequest, type Load, type Result } from './http-driver.ts';
import { bareArgon2, bareInserts, bareSignatures } from './limits.ts';

interface Figure {
  what: string;
  value: number;
  unit: string;
  p50?: number;
  p99?: number;
  /** Of a limit or peer measured in the same run. */
  ratio?: { of: string; value: number };
}

const rounds = 3;
const { values: options } = parseArgs({
  options: { json: { type: 'string' }, seconds: { type: 'string', default: '4' } },
});
const seconds = Number(options.seconds);
const figures: Figure[] = [];

function report(figure: Figure): void {
  figures.push(figure);
  const latency = figure.p50 === undefined ? '' : `p50 ${figure.p50.toFixed(1)} ms  p99 ${figure.p99?.toFixed(1)} ms`;
  const ratio = figure.ratio ? `${figure.ratio.value.toFixed(2)} × ${figure.ratio.of}` : '';
  const value = figure.value >= 100 ? Math.round(figure.value).toLocaleString('en') : figure.value.toFixed(2);
  console.log(
    `${figure.what.padEnd(44)} ${value.padStart(9)} ${figure.unit.padEnd(4)}  ${latency.padEnd(28)} ${ratio}`,
  );
}

function median<T>(items: T[], key: (item: T) => number): T {
  const sorted = [...items].sort((a, b) => key(a) - key(b));
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}

async function medianOf(measure: () => Promise<number> | number): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < rounds; i++) values.push(await measure());
  return median(values, (value) => value);
}

async function medianLoad(load: Omit<Load, 'seconds'>): Promise<Result> {
  const results: Result[] = [];
  for (let i = 0; i < rounds; i++) results.push(await drive({ ...load, seconds }));
  const result = median(results, ({ perSecond }) => perSecond);
  if (Object.keys(result.failures).length > 0) console.log(`  failures by status: ${JSON.stringify(result.failures)}`);
  return result;
}

// ------------------------------------------------------------------------------------------------- time to ready

async function timeToReady(): Promise<void> {
  const first: number[] = [];
  const later: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const dataDir = await mkdtemp(join(tmpdir(), 'postern-bench-'));
    for (const times of [first, later]) {
      const start = performance.now();
      const postern = await startPostern({ dataDir, env: { LOG_LEVEL: 'warn' } });
      times.push((performance.now() - start) / 1000);
      await postern.stop();
    }
    await removeData(dataDir);
  }
  report({ what: 'time to ready, first start', value: median(first, Number), unit: 's' });
  report({ what: 'time to ready, later starts', value: median(later, Number), unit: 's' });
}

// ------------------------------------------------------------------------------------------------- passwords

async function passwords(postern: Postern): Promise<void> {
  const password = 'correct horse battery';
  const hashes = await medianOf(() => bareArgon2(seconds, false));
  report({ what: 'bare argon2id hashes, all cores', value: hashes, unit: '/s' });
  const verifications = await medianOf(() => bareArgon2(seconds, true));
  report({ what: 'bare argon2id verifications, all cores', value: verifications, unit: '/s' });

  const run = Date.now();
  const registrations = await medianLoad({
    port: postern.port,
    connections: 32,
    expect: 201,
    request: (i) => jsonRequest('/auth/register', { email: `u${run}-${i}-${Math.random()}@example.com`, password }),
  });
  report({
    what: 'registrations',
    value: registrations.perSecond,
    unit: '/s',
    ...registrations,
    ratio: { of: 'bare argon2', value: registrations.perSecond / hashes },
  });

  await postern.call('POST', '/auth/register', { json: { username: 'bench', password } });
  const login = jsonRequest('/auth/login', { username: 'bench', password });
  const logins = await medianLoad({ port: postern.port, connections: 32, expect: 200, request: () => login });
  report({
    what: 'logins',
    value: logins.perSecond,
    unit: '/s',
    ...logins,
    ratio: { of: 'bare argon2', value: logins.perSecond / verifications },
  });
}

// ------------------------------------------------------------------------------------------------- machines and mail

async function tokens(postern: Postern): Promise<string> {
  const made = await postern.cli('clients', 'create', '--id', 'bench', '--scope', 'basic email', '--json');
  const credentials = JSON.parse(made.stdout);
  const body = { grant_type: 'client_credentials', ...credentials, scope: 'basic email' };
  const signatures = await medianOf(() => bareSignatures(seconds));
  report({ what: 'bare ES256 signatures, one core', value: signatures, unit: '/s' });
  const request = jsonRequest('/oauth/token', body);
  const issued = await medianLoad({ port: postern.port, connections: 64, expect: 200, request: () => request });
  report({
    what: 'client-credentials tokens',
    value: issued.perSecond,
    unit: '/s',
    ...issued,
    ratio: { of: 'bare ES256', value: issued.perSecond / signatures },
  });
  return (await postern.call('POST', '/oauth/token', { json: body })).body.access_token;
}

function letter(token: string): string {
  const body = { from: 'bench@example.com', to: 'someone@example.net', subject: 'A letter', text: 'x'.repeat(1024) };
  return jsonRequest('/emails', body, { Authorization: `Bearer ${token}` });
}

async function accepts(postern: Postern, token: string): Promise<void> {
  const access = JSON.parse(await readFile(join(postern.dataDir, 'postgres-access.json'), 'utf8'));
  const url = `postgres://postern:${access.password}@127.0.0.1:${access.port}/postgres`;
  const inserts = await medianOf(() => bareInserts(url, seconds));
  report({ what: 'bare inserts, a row and a commit each', value: inserts, unit: '/s' });
  const request = letter(token);
  const accepted = await medianLoad({ port: postern.port, connections: 64, expect: 202, request: () => request });
  report({
    what: 'POST /emails, accepted (no worker)',
    value: accepted.perSecond,
    unit: '/s',
    ...accepted,
    ratio: { of: 'bare inserts', value: accepted.perSecond / inserts },
  });
}

async function endToEnd(): Promise<void> {
  const sink = fork(fileURLToPath(new URL('./smtp-sink.ts', import.meta.url)));
  const { port } = await answerOf(sink);
  const postern = await startPostern({
    env: { POSTERN_ENV: 'development', SMTP_URL: `smtp://127.0.0.1:${port}`, LOG_LEVEL: 'warn' },
  });
  try {
    const made = await postern.cli('clients', 'create', '--id', 'bench', '--scope', 'email', '--json');
    const reply = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    const request = letter(reply.body.access_token);
    const rates: number[] = [];
    let expected = 0;
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      const accepted = await drive({
        port: postern.port,
        connections: 64,
        seconds,
        expect: 202,
        request: () => request,
      });
      const before = expected;
      await waitFor(
        async () => {
          expected = await taken(sink);
          return expected - before >= accepted.answered && expected;
        },
        { what: 'the letters to reach the sink', seconds: 300 },
      );
      rates.push(accepted.answered / ((performance.now() - start) / 1000));
    }
    report({ what: 'letters end to end, HTTP to SMTP', value: median(rates, Number), unit: '/s' });
  } finally {
    await postern.dispose();
    sink.disconnect();
  }
}

function answerOf(child: ChildProcess): Promise<{ port: number; taken: number }> {
  return new Promise((resolve) =>
    child.once('message', (message) => resolve(message as { port: number; taken: number })),
  );
}

async function taken(sink: ChildProcess): Promise<number> {
  const answer = answerOf(sink);
  sink.send('count');
  return (await answer).taken;
}

// ------------------------------------------------------------------------------------------------- all of it

console.log(
  `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; medians of ${rounds}, ${seconds} s each\n`,
);
await timeToReady();
const postern = await startPostern({ env: { LOG_LEVEL: 'warn', RATE_LIMITS: 'off' }, args: ['--role', 'api'] });
try {
  await passwords(postern);
  await accepts(postern, await tokens(postern));
} finally {
  await postern.dispose();
}
await endToEnd();
if (options.json !== undefined) {
  await writeFile(
    options.json,
    `${JSON.stringify({ node: process.version, cpus: cpus().length, seconds, figures }, null, 2)}\n`,
  );
}
