/** Logins against bare argon2id, and what a crowd of them does to everyone else. */
import { drive, type Result } from './http-driver.ts';
import { bareArgon2 } from './limits.ts';
import { residentMebibytes } from './machine.ts';
import { makePeople, meRequest, type People } from './people.ts';
import { type BenchPostern, startBenchPostern } from './postern.ts';
import { heading, median, report, reportFailures, rounds } from './report.ts';

const stormConnections = 256;
/** More than can be answered before they give up, and long enough for them to do so. */
const overload = { connections: 1_024, seconds: 15 };

export async function logins({ seconds }: { seconds: number }): Promise<void> {
  heading('logins, and everyone else meanwhile');
  const postern = await startBenchPostern({});
  try {
    const people = await makePeople(postern);
    await people.growTo(1_000);
    const load = { port: postern.port, connections: 32, expect: 200, seconds, request: people.login };
    const limits: number[] = [];
    const loggedIn: Result[] = [];
    for (let i = 0; i < rounds; i++) {
      limits.push(await bareArgon2(seconds, true));
      loggedIn.push(await drive(load));
    }
    const limit = median(limits, Number);
    report({ what: 'bare argon2id verifications, all cores', value: limit, unit: '/s' });
    const { perSecond, p50, p99, failures } = median(loggedIn, (result) => result.perSecond);
    reportFailures(failures);
    const ratio = { of: 'bare argon2', value: perSecond / limit, goal: '≥ 0.95' };
    report({ what: 'logins, 32 connections', value: perSecond, unit: '/s', p50, p99, ratio });
    await storms(postern, people, seconds);
  } finally {
    await postern.dispose();
  }
}

async function storms(postern: BenchPostern, people: People, seconds: number): Promise<void> {
  const [token = ''] = await people.accessTokens(1);
  const askWhoIAm = (duration: number) =>
    drive({ port: postern.port, connections: 1, expect: 200, seconds: duration, request: () => meRequest(token) });

  const idle: Result[] = [];
  for (let i = 0; i < rounds; i++) idle.push(await askWhoIAm(seconds));
  const { p50, p99 } = median(idle, (result) => result.p99);
  report({ what: 'GET /auth/me, idle, p99', value: p99, unit: 'ms', p50, p99 });

  const seen: Storm[] = [];
  const storm = { connections: stormConnections, seconds };
  for (let i = 0; i < rounds; i++) seen.push(await stormOf(postern, people, storm, askWhoIAm));
  const one = median(seen, ({ me }) => me.p99);
  report({
    what: `the same while ${stormConnections} log in, p99`,
    value: one.me.p99,
    unit: 'ms',
    p50: one.me.p50,
    p99: one.me.p99,
    ratio: { of: 'idle', value: one.me.p99 / p99, goal: '≤ 5' },
  });
  reportAnswers(one, `${stormConnections} logging in`);
  const first = seen[0]?.mebibytes ?? 0;
  const last = seen.at(-1)?.mebibytes ?? 0;
  report({ what: 'most memory in the first storm', value: first, unit: 'MiB' });
  const ofFirst = (value: number) => ({ of: 'the first', value: value / first, goal: 'flat' });
  report({ what: 'most memory in the last', value: last, unit: 'MiB', ratio: ofFirst(last) });

  const crowd = await stormOf(postern, people, overload, askWhoIAm);
  const many = `${overload.connections.toLocaleString('en')} logging in`;
  reportAnswers(crowd, many);
  report({ what: `${many}: GET /auth/me, p99`, value: crowd.me.p99, unit: 'ms', p50: crowd.me.p50, p99: crowd.me.p99 });
  const { mebibytes } = crowd;
  report({ what: `${many}: most memory`, value: mebibytes, unit: 'MiB', ratio: ofFirst(mebibytes) });
}

interface Storm {
  me: Result;
  loggedIn: Result;
  /** Answered 503 with Retry-After. */
  refused: number;
  /** Answered otherwise, or not at all. */
  faults: number;
  /** The most that the process held. */
  mebibytes: number;
}

async function stormOf(
  { port, postern }: BenchPostern,
  people: People,
  { connections, seconds }: { connections: number; seconds: number },
  askWhoIAm: (seconds: number) => Promise<Result>,
): Promise<Storm> {
  const pid = postern.process.pid ?? 0;
  let mebibytes = 0;
  const sampling = setInterval(() => {
    mebibytes = Math.max(mebibytes, residentMebibytes(pid));
  }, 100);
  let refused = 0;
  let faults = 0;
  const onFailure = (status: number, answer: string) => {
    if (status === 503 && /\r\nretry-after: \d+\r\n/i.test(answer)) refused++;
    else faults++;
  };
  try {
    const crowd = drive({ port, connections, expect: 200, seconds, request: people.login, onFailure });
    const me = await askWhoIAm(seconds);
    const loggedIn = await crowd;
    faults += Object.values(me.failures).reduce((sum, count) => sum + count, 0);
    return { me, loggedIn, refused, faults, mebibytes };
  } finally {
    clearInterval(sampling);
  }
}

function reportAnswers({ loggedIn, refused, faults }: Storm, what: string): void {
  const { perSecond, p50, p99 } = loggedIn;
  report({ what: `${what}: answered 200`, value: perSecond, unit: '/s', p50, p99 });
  report({ what: `${what}: answered 503 + Retry-After`, value: refused, unit: '' });
  report({
    what: `${what}: any other answer`,
    value: faults,
    unit: '',
    ratio: { of: 'all', value: faults, goal: '0' },
  });
}
