/** How many letters a second are taken: token verified, letter validated, committed to disk, handed to the queue. */
import type { Arrangement } from './arrangement.ts';
import { type GlueBroker, startGlue } from './glue.ts';
import { bareInserts } from './limits.ts';
import { databaseUrl, startBenchPostern } from './postern.ts';
import { heading, medianLoad, medianOf, type Ratio, report } from './report.ts';

export async function accepts({ seconds, brokers }: { seconds: number; brokers: GlueBroker[] }): Promise<void> {
  heading('POST /emails: token verified, validated, committed (no worker runs)');
  const postern = await startBenchPostern({});
  const inserts = await databaseUrl(postern.postern.dataDir).then((url) => medianOf(() => bareInserts(url, seconds)));
  report({ what: 'bare inserts, a row and a commit each', value: inserts, unit: '/s' });
  const ours = await measure(postern, seconds, { of: 'bare inserts', value: inserts });
  for (const broker of brokers) {
    const theirs = await measure(await startGlue({ broker, worker: false }), seconds);
    const ratio = (what: string, value: number, goal: string) =>
      report({ what, value, unit: '×', ratio: { of: broker.name, value, goal } });
    ratio('accepts/s, 64 connections', ours.many.perSecond / theirs.many.perSecond, '≥ 3');
    ratio('p99, 64 connections', ours.many.p99 / theirs.many.p99, '≤ 0.5');
    ratio('accepts/s, 1 connection', ours.one.perSecond / theirs.one.perSecond, '≥ 1.5');
  }
}

async function measure(arrangement: Arrangement, seconds: number, limit?: Ratio) {
  try {
    const { port, request, name } = arrangement;
    const load = { port, request: () => request, expect: 202, seconds };
    const many = await medianLoad({ ...load, connections: 64 });
    const ratio = limit && { ratio: { of: limit.of, value: many.perSecond / limit.value } };
    report({
      what: `${name}, 64 connections`,
      value: many.perSecond,
      unit: '/s',
      p50: many.p50,
      p99: many.p99,
      ...ratio,
    });
    const one = await medianLoad({ ...load, connections: 1 });
    report({ what: `${name}, 1 connection`, value: one.perSecond, unit: '/s', p50: one.p50, p99: one.p99 });
    return { many, one };
  } finally {
    await arrangement.dispose();
  }
}
