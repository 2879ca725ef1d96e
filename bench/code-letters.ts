/** How long a code takes: from `POST /auth/register` until the sink answers 250 to the letter. */
import type { Postern } from '../server/test/support/start-postern.ts';
import { waitFor } from '../server/test/support/wait-for.ts';
import { fillQueue } from './backlog.ts';
import { type Child, startChild } from './child.ts';
import { startBenchPostern, startWorkerOf } from './postern.ts';
import { heading, quantile, report } from './report.ts';

const registrations = 300;
/** Before those that are measured: what runs the first time is compiled on the way. */
const warmUps = 10;

export async function idleCodes(): Promise<void> {
  heading(`code letter of an idle Postern, ${registrations} registrations one after the other`);
  const sink = await startChild('./smtp-sink.ts', { KEEP_TIMES: '1' });
  const postern = await startBenchPostern({ smtpPort: Number(sink.hello.port) });
  try {
    const { p50, p99 } = await codes(postern.postern, sink, 'default');
    report({
      what: 'register → 250 at the sink, p99',
      value: p99,
      unit: 'ms',
      p50,
      p99,
      ratio: { of: 'the goal of 50 ms', value: p99 / 50 },
    });
  } finally {
    await postern.dispose();
    await sink.end();
  }
}

/** Bulk mail of one tenant waits; what does another tenant's code wait for? */
export async function codesBehindBulk({ letters }: { letters: number }): Promise<void> {
  heading(`code letters of one tenant while ${letters.toLocaleString('en')} bulk letters of another are being sent`);
  const sink = await startChild('./smtp-sink.ts', { KEEP_TIMES: '1' });
  const postern = await startBenchPostern({ smtpPort: Number(sink.hello.port), role: 'api' });
  try {
    await fillQueue(postern, { letters, lane: 'bulk' });
    const worker = await startWorkerOf(postern);
    const { p50, p99 } = await codes(postern.postern, sink, 'other');
    const [row] = await postern.sql<{ left: number }[]>`SELECT count(*)::integer AS left FROM email_queue`;
    const left = row?.left ?? 0;
    report({ what: 'bulk letters still waiting at the end', value: left, unit: '' });
    report({
      what: 'register → 250 at the sink, median',
      value: p50,
      unit: 'ms',
      ratio: { of: 'the goal of 1 s', value: p50 / 1000 },
    });
    report({
      what: 'register → 250 at the sink, p99',
      value: p99,
      unit: 'ms',
      ratio: { of: 'the goal of 3 s', value: p99 / 3000 },
    });
    await worker.kill();
  } finally {
    await postern.dispose();
    await sink.end();
  }
}

async function codes(postern: Postern, sink: Child, server: string): Promise<{ p50: number; p99: number }> {
  const delays: number[] = [];
  for (let i = -warmUps; i < registrations; i++) {
    const email = `code-${i + warmUps}@example.com`;
    const start = process.hrtime.bigint();
    const { status, text } = await postern.call('POST', '/auth/register', {
      json: { email, password: 'correct horse battery', server },
    });
    if (status !== 201) throw new Error(text);
    const at = await waitFor(async () => (await sink.ask(`time ${email}`)).at, { what: 'the code', seconds: 60 });
    if (i >= 0) delays.push(Number(BigInt(String(at)) - start) / 1e6);
  }
  delays.sort((a, b) => a - b);
  return { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
}
