/** Logins, who am I and refreshes with few users and sessions in the database, and with many. */
import { makePeople, meRequest } from './people.ts';
import { startBenchPostern } from './postern.ts';
import { heading, medianLoad, report } from './report.ts';

const few = 1_000;
/** Whose tokens are used, however many there are. */
const callers = 1_000;

export async function users({ seconds, many }: { seconds: number; many: number }): Promise<void> {
  heading(`with ${many.toLocaleString('en')} users and sessions against ${few.toLocaleString('en')}`);
  const postern = await startBenchPostern({});
  try {
    const people = await makePeople(postern);
    await people.growTo(few);
    await measure(); // as warm the first time as the second
    const before = await measure();
    const start = performance.now();
    await people.growTo(many);
    report({ what: 'time to write them by SQL', value: (performance.now() - start) / 1000, unit: 's' });
    const after = await measure();
    for (const [what, rate] of Object.entries(after)) {
      const first = before[what] ?? 0;
      report({ what: `${what}, ${few.toLocaleString('en')} users`, value: first, unit: '/s' });
      report({
        what: `${what}, ${many.toLocaleString('en')} users`,
        value: rate,
        unit: '/s',
      });
      const value = first / rate;
      report({ what: `${what}: slower by`, value, unit: '×', ratio: { of: 'few over many', value, goal: '≤ 1.3' } });
    }

    async function measure(): Promise<Record<string, number>> {
      const load = { port: postern.port, expect: 200, seconds };
      const tokens = await people.accessTokens(callers);
      const me = (i: number) => meRequest(tokens[i % tokens.length] ?? '');
      const refresh = (_: number, connection: number) => people.refresh(connection, 16);
      return {
        logins: (await medianLoad({ ...load, connections: 32, request: people.login })).perSecond,
        'GET /auth/me': (await medianLoad({ ...load, connections: 64, request: me })).perSecond,
        refreshes: (await medianLoad({ ...load, connections: 16, request: refresh })).perSecond,
      };
    }
  } finally {
    await postern.dispose();
  }
}
