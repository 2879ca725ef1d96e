/** Starting, registrations and tokens of clients. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Postern, removeData, startPostern } from '../server/test/support/start-postern.ts';
import { jsonRequest } from './http-driver.ts';
import { bareArgon2, bareSignatures } from './limits.ts';
import { heading, median, medianLoad, medianOf, report, rounds } from './report.ts';

export async function identity({ seconds }: { seconds: number }): Promise<void> {
  heading('starting, registrations, tokens of clients');
  await timeToReady();
  const postern = await startPostern({
    isOnDisk: true,
    env: { LOG_LEVEL: 'warn', RATE_LIMITS: 'off' },
    args: ['--role', 'api'],
  });
  try {
    await registrations(postern, seconds);
    await tokens(postern, seconds);
  } finally {
    await postern.dispose();
  }
}

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

async function registrations(postern: Postern, seconds: number): Promise<void> {
  const password = 'correct horse battery';
  const hashes = await medianOf(() => bareArgon2(seconds, false));
  report({ what: 'bare argon2id hashes, all cores', value: hashes, unit: '/s' });

  const run = Date.now();
  const registered = await medianLoad({
    port: postern.port,
    connections: 32,
    expect: 201,
    seconds,
    request: (i) => jsonRequest('/auth/register', { email: `u${run}-${i}-${Math.random()}@example.com`, password }),
  });
  report({
    what: 'registrations',
    value: registered.perSecond,
    unit: '/s',
    ...registered,
    ratio: { of: 'bare argon2', value: registered.perSecond / hashes },
  });
}

async function tokens(postern: Postern, seconds: number): Promise<void> {
  const made = await postern.cli('clients', 'create', '--id', 'bench', '--scope', 'basic email', '--json');
  const credentials = JSON.parse(made.stdout);
  const body = { grant_type: 'client_credentials', ...credentials, scope: 'basic email' };
  const signatures = await medianOf(() => bareSignatures(seconds));
  report({ what: 'bare ES256 signatures, one core', value: signatures, unit: '/s' });
  const request = jsonRequest('/oauth/token', body);
  const issued = await medianLoad({
    port: postern.port,
    connections: 64,
    expect: 200,
    seconds,
    request: () => request,
  });
  report({
    what: 'client-credentials tokens',
    value: issued.perSecond,
    unit: '/s',
    ...issued,
    ratio: { of: 'bare ES256', value: issued.perSecond / signatures },
  });
}
