/** Who am I, against what answers without asking and what asks its database; refreshes against bare commits. */
import { startBareFastify, startBetterAuth } from './auth-peers.ts';
import { drive, type Result } from './http-driver.ts';
import { arePeersInstalled } from './peer-packages.ts';
import { makePeople, meRequest, type People } from './people.ts';
import { type Commits, rowCommits } from './pgbench.ts';
import { type BenchPostern, databaseUrl, startBenchPostern } from './postern.ts';
import { heading, median, medianLoads, report, reportFailures, rounds } from './report.ts';

const clients = 16;

export async function sessions({ seconds }: { seconds: number }): Promise<void> {
  heading('sessions: GET /auth/me, refreshes');
  const postern = await startBenchPostern({});
  try {
    const people = await makePeople(postern);
    await people.growTo(100_000);
    await whoAmI(postern, people, seconds);
    await refreshes(postern, people, seconds);
  } finally {
    await postern.dispose();
  }
}

async function whoAmI({ port, postern }: BenchPostern, people: People, seconds: number): Promise<void> {
  const [token = ''] = await people.accessTokens(1);
  const { text } = await postern.call('GET', '/auth/me', { token });
  const peers = arePeersInstalled() ? [await startBareFastify(text), await startBetterAuth()] : [];
  try {
    const subjects = [{ name: 'GET /auth/me', port, request: meRequest(token) }, ...peers];
    const results = await medianLoads(
      subjects.map(({ port, request }) => ({ port, connections: 64, expect: 200, seconds, request: () => request })),
    );
    for (const [index, { perSecond, p50, p99 }] of results.entries()) {
      report({ what: `${subjects[index]?.name}, 64 connections`, value: perSecond, unit: '/s', p50, p99 });
    }
    const [ours, ...theirs] = results.map(({ perSecond }) => perSecond);
    for (const [index, { name, goal }] of peers.entries()) {
      const value = (ours ?? 0) / (theirs[index] ?? 0);
      report({ what: 'GET /auth/me', value, unit: '×', ratio: { of: name, value, goal } });
    }
  } finally {
    for (const peer of peers) await peer.dispose();
  }
}

async function refreshes({ port, postern }: BenchPostern, people: People, seconds: number): Promise<void> {
  const url = await databaseUrl(postern.dataDir);
  const request = (_: number, connection: number) => people.refresh(connection, clients);
  const commits: Commits[] = [];
  const refreshed: Result[] = [];
  for (let i = 0; i < rounds; i++) {
    commits.push(await rowCommits(url, seconds));
    refreshed.push(await drive({ port, connections: clients, expect: 200, seconds, request }));
  }
  const limit = median(commits, ({ perSecond }) => perSecond);
  report({ what: `${limit.driver}: commits of one row, 16 clients`, value: limit.perSecond, unit: '/s' });
  const { perSecond, p50, p99, failures } = median(refreshed, (result) => result.perSecond);
  reportFailures(failures);
  const ratio = { of: limit.driver, value: perSecond / limit.perSecond, goal: '≥ 0.3' };
  report({ what: 'refreshes, 16 connections', value: perSecond, unit: '/s', p50, p99, ratio });
}
