/** How fast a worker empties a queue that is full, against what a bare pipelined client moves on the same machine. */
import { bareSmtp } from './bare-smtp.ts';
import { drive } from './http-driver.ts';
import { batchRequest, batchSize } from './letters.ts';
import { type BenchPostern, startBenchPostern, startWorkerOf } from './postern.ts';
import { heading, median, medianOf, report, rounds } from './report.ts';
import { startSinkProcess } from './sinks.ts';

export async function backlog({ letters, seconds }: { letters: number; seconds: number }): Promise<void> {
  const sink = await startSinkProcess();
  heading(`draining a backlog of ${letters.toLocaleString('en')} letters to ${sink.name}`);
  try {
    const bare = await medianOf(() => bareSmtp(seconds, sink.port));
    report({ what: 'bare pipelined SMTP client, 20 connections', value: bare, unit: '/s' });
    const rates: number[] = [];
    for (let i = 0; i < rounds; i++) rates.push(await drain(sink.port, letters));
    const value = median(rates, Number);
    report({
      what: 'Postern, one worker',
      value,
      unit: '/s',
      ratio: { of: 'bare client', value: value / bare, goal: '≥ 0.3' },
    });
  } finally {
    await sink.end();
  }
}

async function drain(smtpPort: number, letters: number): Promise<number> {
  const postern = await startBenchPostern({ smtpPort, role: 'api' });
  try {
    await fillQueue(postern, { letters, lane: 'transactional' });
    const worker = await startWorkerOf(postern);
    const start = performance.now();
    await postern.settled(letters);
    const rate = letters / ((performance.now() - start) / 1000);
    await worker.stop();
    return rate;
  } finally {
    await postern.dispose();
  }
}

/** Has letters accepted while no worker runs. */
export async function fillQueue(
  { port, token }: BenchPostern,
  { letters, lane }: { letters: number; lane: 'transactional' | 'bulk' },
): Promise<void> {
  const request = batchRequest(token, lane);
  const load = { port, connections: 8, requests: letters / batchSize, expect: 202, request: () => request };
  const { answered, failures } = await drive(load);
  if (answered * batchSize !== letters) throw new Error(`${answered} batches accepted: ${JSON.stringify(failures)}`);
}
