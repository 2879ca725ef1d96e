/** A Redis of a test's own, which it may flush, stop and kill. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createClient } from 'redis';
import { freePorts } from './free-ports.ts';
import { waitFor } from './wait-for.ts';

export type RedisClient = ReturnType<typeof createClient>;

export interface RedisServer {
  url: string;
  /** A connection to look inside. */
  client: () => RedisClient;
  flush: () => Promise<unknown>;
  /** How often it was asked for a value. */
  reads: () => Promise<number>;
  /** SIGSTOP: connections stay open and nothing answers. */
  freeze: () => void;
  thaw: () => void;
  /** SIGKILL; it holds nothing on a disk. */
  kill: () => Promise<void>;
  start: () => Promise<void>;
  close: () => Promise<void>;
}

const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';

/** Why there is none here, or false. */
export const redisServerMissing: string | false =
  !isRequired &&
  (process.env.POSTERN_TEST_REDIS_URL === undefined || spawnSync('redis-server', ['--version']).error !== undefined) &&
  'POSTERN_TEST_REDIS_URL names no Redis, or the program redis-server is not there';

export async function startRedisServer(): Promise<RedisServer> {
  const [port = 0] = await freePorts(1);
  const url = `redis://127.0.0.1:${port}`;
  let server: ChildProcess | undefined;
  let client: RedisClient | undefined;
  const kill = async () => {
    if (client?.isOpen) client.destroy();
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server?.once('close', resolve));
    server.kill('SIGKILL');
    await ended;
  };
  const start = async () => {
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--daemonize', 'no'];
    server = spawn('redis-server', args, { stdio: 'ignore' });
    client = await waitFor(
      async () => {
        const made: RedisClient = createClient({ url, socket: { reconnectStrategy: false } });
        made.on('error', () => {});
        await made.connect();
        return made;
      },
      { what: 'redis-server to answer', retryOn: () => true },
    );
  };
  await start();
  const connected = () => {
    if (client === undefined) throw new Error('Redis is not running.');
    return client;
  };
  return {
    url,
    client: connected,
    flush: () => connected().flushAll(),
    reads: async () => Number(/cmdstat_get:calls=(\d+)/.exec(await connected().info('commandstats'))?.[1] ?? 0),
    freeze: () => server?.kill('SIGSTOP'),
    thaw: () => server?.kill('SIGCONT'),
    kill,
    start,
    close: kill,
  };
}
