/**
 * The queue engines, with what a fault can do to their brokers. PostgreSQL is always there; Redis and RabbitMQ where
 * POSTERN_TEST_REDIS_URL and POSTERN_TEST_RABBITMQ_URL name them.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Connection } from 'rabbitmq-client';
import { createClient } from 'redis';
import { connectDatabase } from '../../src/database/database.ts';
import type { Postern } from './start-postern.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface Engine {
  name: 'postgres' | 'redis' | 'rabbitmq';
  /** Why not here, or false. */
  skip: string | false;
  open: () => Promise<OpenEngine>;
}

export interface OpenEngine {
  /** Settings that make a Postern use it. */
  env: Record<string, string>;
  broker?: FaultyBroker;
  close: () => Promise<void>;
}

export interface FaultyBroker {
  /** Between Postern and the broker. */
  network: TcpProxy;
  /**
   * Everything of this Postern that lies in the broker is gone, as after a flush, a purge or a restart without a disk.
   * Returns how many messages that were.
   */
  lose: (postern: Postern) => Promise<number>;
  /** The queues themselves are gone too. */
  remove: (postern: Postern) => Promise<void>;
  /** What lies in the broker now lies there twice. Returns how many messages that were. */
  repeat: (postern: Postern) => Promise<number>;
}

const lanes = ['otp', 'transactional', 'bulk'];
const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';

export const engines: Engine[] = [
  { name: 'postgres', skip: false, open: async () => ({ env: {}, close: async () => {} }) },
  overBroker('redis', process.env.POSTERN_TEST_REDIS_URL, 'POSTERN_TEST_REDIS_URL names no Redis', faultsOfRedis),
  overBroker(
    'rabbitmq',
    process.env.POSTERN_TEST_RABBITMQ_URL,
    'POSTERN_TEST_RABBITMQ_URL names no RabbitMQ',
    faultsOfRabbitmq,
  ),
];

type Faults = (url: string) => Omit<FaultyBroker, 'network'>;

function overBroker(name: Engine['name'], url: string | undefined, missing: string, faultsOf: Faults): Engine {
  return {
    name,
    skip: url === undefined && !isRequired && missing,
    open: async () => {
      if (url === undefined) throw new Error(missing);
      const { hostname, port } = new URL(url);
      const network = await startTcpProxy({ host: hostname, port: Number(port || (name === 'redis' ? 6379 : 5672)) });
      const near = new URL(url);
      near.hostname = '127.0.0.1';
      near.port = String(network.port);
      return { env: { QUEUE_URL: near.href }, broker: { network, ...faultsOf(url) }, close: network.close };
    },
  };
}

function faultsOfRedis(url: string): Omit<FaultyBroker, 'network'> {
  const keysOf = async (postern: Postern) => {
    const installation = await installationOf(postern);
    return lanes.map((lane) => `postern:${installation}:${lane}`);
  };
  const withClient = async <T>(use: (client: ReturnType<typeof createClient>) => Promise<T>): Promise<T> => {
    const client = createClient({ url });
    await client.connect();
    try {
      return await use(client as ReturnType<typeof createClient>);
    } finally {
      client.destroy();
    }
  };
  const lose = async (postern: Postern) => {
    const keys = await keysOf(postern);
    return withClient(async (client) => {
      let lost = 0;
      for (const key of keys) lost += await client.lLen(key);
      await client.del(keys);
      return lost;
    });
  };
  return {
    lose,
    remove: async (postern) => {
      await lose(postern);
    },
    repeat: async (postern) => {
      const keys = await keysOf(postern);
      return withClient(async (client) => {
        let repeated = 0;
        for (const key of keys) {
          const entries = await client.lRange(key, 0, -1);
          if (entries.length > 0) await client.rPush(key, entries);
          repeated += entries.length;
        }
        return repeated;
      });
    },
  };
}

function faultsOfRabbitmq(url: string): Omit<FaultyBroker, 'network'> {
  const queuesOf = async (postern: Postern) => {
    const installation = await installationOf(postern);
    return lanes.map((lane) => `postern.${installation}.${lane}`);
  };
  const withConnection = async <T>(use: (connection: Connection) => Promise<T>): Promise<T> => {
    const connection = new Connection(url);
    try {
      return await use(connection);
    } finally {
      await connection.close();
    }
  };
  return {
    lose: async (postern) => {
      const queues = await queuesOf(postern);
      return withConnection(async (connection) => {
        let lost = 0;
        for (const queue of queues) lost += (await connection.queuePurge(queue)).messageCount;
        return lost;
      });
    },
    remove: async (postern) => {
      const queues = await queuesOf(postern);
      await withConnection(async (connection) => {
        for (const queue of queues) await connection.queueDelete(queue);
      });
    },
    repeat: async (postern) => {
      const queues = await queuesOf(postern);
      return withConnection(async (connection) => {
        const messages: { queue: string; body: unknown }[] = [];
        for (const queue of queues) {
          for (;;) {
            const message = await connection.basicGet({ queue, noAck: true });
            if (message === undefined) break;
            messages.push({ queue, body: message.body });
          }
        }
        const publisher = connection.createPublisher({ confirm: true });
        for (const { queue, body } of [...messages, ...messages]) await publisher.send(queue, body);
        await publisher.close();
        return messages.length;
      });
    },
  };
}

/** Where the embedded PostgreSQL of a Postern is. */
export async function databaseUrlOf({ dataDir }: Postern): Promise<string> {
  const access = JSON.parse(await readFile(join(dataDir, 'postgres-access.json'), 'utf8'));
  return `postgres://postern:${access.password}@127.0.0.1:${access.port}/postgres`;
}

/** What its names in a broker begin with. */
async function installationOf(postern: Postern): Promise<string> {
  const sql = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'test' });
  try {
    const [row] = await sql<{ id: string }[]>`SELECT id FROM installation`;
    if (row === undefined) throw new Error('The table installation is empty.');
    return row.id;
  } finally {
    await sql.end();
  }
}
