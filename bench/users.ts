/** Logins, who am I and refreshes with few users and sessions in the database, and with many. */
import type { Load } from './http-driver.ts';
import { makePeople, meRequest, type People } from './people.ts';
import { type BenchPostern, startBenchPostern } from './postern.ts';
import { heading, medianLoads, report } from './report.ts';

const few = 1_000;
/** Whose tokens are used, however many there are. */
const callers = 1_000;

interface Subject extends BenchPostern {
  name: string;
  people: People;
  tokens: string[];
}

export async function users({ seconds, many }: { seconds: number; many: number }): Promise<void> {
  heading(`with ${many.toLocaleString('en')} users and sessions against ${few.toLocaleString('en')}`);
  const subjects: Subject[] = [];
  try {
    for (const count of [few, many]) subjects.push(await startWith(count));
    await compare('logins', ({ people }) => ({ connections: 32, request: people.login }));
    await compare('GET /auth/me', ({ tokens }) => ({
      connections: 64,
      request: (i) => meRequest(tokens[i % tokens.length] ?? ''),
    }));
    await compare('refreshes', ({ people }) => ({
      connections: 16,
      request: (_, connection) => people.refresh(connection, 16),
    }));
  } finally {
    for (const subject of subjects) await subject.dispose();
  }

  async function compare(what: string, loadOf: (subject: Subject) => Pick<Load, 'connections' | 'request'>) {
    const loads = subjects.map((subject) => ({ ...loadOf(subject), port: subject.port, expect: 200, seconds }));
    const results = await medianLoads(loads);
    for (const [index, { perSecond, p50, p99 }] of results.entries()) {
      report({ what: `${what}, ${subjects[index]?.name}`, value: perSecond, unit: '/s', p50, p99 });
    }
    const [withFew = 0, withMany = 0] = results.map(({ perSecond }) => perSecond);
    const value = withFew / withMany;
    report({ what: `${what}: slower by`, value, unit: '×', ratio: { of: 'few over many', value, goal: '≤ 1.3' } });
  }
}

async function startWith(count: number): Promise<Subject> {
  const name = `${count.toLocaleString('en')} users`;
  const postern = await startBenchPostern({ name });
  const people = await makePeople(postern);
  const start = performance.now();
  await people.growTo(count);
  report({ what: `${name}: written by SQL in`, value: (performance.now() - start) / 1000, unit: 's' });
  return { ...postern, people, tokens: await people.accessTokens(callers) };
}
