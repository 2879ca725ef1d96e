/** From the first request until the last status is written: accepted over HTTP, delivered over SMTP, settled. */
import type { Arrangement } from './arrangement.ts';
import { amqpUrl, startRedis } from './brokers.ts';
import { type GlueBroker, startGlue } from './glue.ts';
import { drive } from './http-driver.ts';
import { startBenchPostern } from './postern.ts';
import { postfixRates } from './postfix.ts';
import { heading, median, type Ratio, report, rounds } from './report.ts';
import { startSinkProcess } from './sinks.ts';

interface Options {
  letters: number;
  brokers: GlueBroker[];
}

export async function endToEnd({ letters, brokers }: Options): Promise<void> {
  const sink = await startSinkProcess();
  heading(`${letters.toLocaleString('en')} letters accepted, delivered to ${sink.name}, every status written`);
  try {
    const peers: { of: string; rate: number }[] = [];
    for (const broker of brokers) {
      const rate = await measure(await startGlue({ broker, smtpPort: sink.port }), letters).catch((error: unknown) =>
        console.log(`  (${broker.name} is left out: ${error})`),
      );
      if (rate !== undefined) peers.push({ of: broker.name, rate });
    }
    const relay = await postfixRates({ letters, sinkPort: sink.port });
    if (relay !== undefined) {
      report({ what: 'Postfix as relay', value: relay, unit: '/s' });
      peers.push({ of: 'Postfix', rate: relay });
    }
    for (const { name, queueUrl, goal, end } of await engines()) {
      const postern = await startBenchPostern({ name, smtpPort: sink.port, ...(queueUrl && { queueUrl }) });
      const rate = await measure(postern, letters);
      for (const peer of peers) {
        const ratio: Ratio = { of: peer.of, value: rate / peer.rate, goal };
        report({ what: name, value: ratio.value, unit: '×', ratio });
      }
      await end?.();
    }
  } finally {
    await sink.end();
  }
}

/** Postern's queue engines, as far as this machine has them. */
async function engines(): Promise<{ name: string; queueUrl?: string; goal: string; end?: () => Promise<void> }[]> {
  const redis = await startRedis();
  const amqp = await amqpUrl();
  return [
    { name: 'Postern over PostgreSQL', goal: '≥ 5' },
    ...(redis ? [{ name: 'Postern over Redis', queueUrl: redis.url, goal: '≥ 4', end: redis.end }] : []),
    ...(amqp ? [{ name: 'Postern over RabbitMQ', queueUrl: amqp, goal: '≥ 4' }] : []),
  ];
}

async function measure(arrangement: Arrangement, letters: number): Promise<number> {
  try {
    const { port, request, name } = arrangement;
    const rates: number[] = [];
    for (let i = 1; i <= rounds; i++) {
      const start = performance.now();
      const load = { port, connections: 64, requests: letters, expect: 202, request: () => request };
      const { answered, failures } = await drive(load);
      if (answered !== letters) throw new Error(`${name} accepted ${answered}: ${JSON.stringify(failures)}`);
      await arrangement.settled(letters * i);
      rates.push(letters / ((performance.now() - start) / 1000));
    }
    const rate = median(rates, Number);
    report({ what: name, value: rate, unit: '/s' });
    return rate;
  } finally {
    await arrangement.dispose();
  }
}
