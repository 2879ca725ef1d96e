/** The services that peers and queue engines need. What the machine does not have is left out, with a line that says so. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../server/test/support/free-ports.ts';
import { waitFor } from '../server/test/support/wait-for.ts';
import { answers, has } from './machine.ts';

export interface Redis {
  url: string;
  end: () => Promise<void>;
}

/** A Redis of the benchmark's own, that writes its append-only file every second as queue libraries ask for. */
export async function startRedis(): Promise<Redis | undefined> {
  if (!has('redis-server'))
    return void console.log('  (no redis-server on this machine: what needs Redis is left out)');
  const [port = 0] = await freePorts(1);
  const folder = await mkdtemp(join(tmpdir(), 'postern-bench-redis-'));
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
  const durable = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'];
  const child = spawn('redis-server', [...settings, ...durable], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await waitFor(() => answers(port), { what: 'Redis to listen' });
  return {
    url: `redis://127.0.0.1:${port}`,
    end: async () => {
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** RabbitMQ takes long to start, so the one that runs is used: `BENCH_AMQP_URL`, or a fresh one's own account. */
export async function amqpUrl(): Promise<string | undefined> {
  const url = process.env.BENCH_AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:5672';
  const { hostname, port } = new URL(url);
  if (await answers(Number(port || 5672), hostname)) return url;
  console.log('  (no RabbitMQ on this machine, or at BENCH_AMQP_URL: what needs it is left out)');
  return undefined;
}
