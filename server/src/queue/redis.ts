import { inTime } from '../in-time.ts';
import { type Broker, type BrokerLink, type Lane, type LinkOptions, lanes } from './broker.ts';

const laneNames = ['otp', 'transactional', 'bulk'] as const;
const blockSeconds = 2;
/** What nobody has fetched by then was offered again long ago. */
const keepSeconds = 60;
const connectMilliseconds = 5_000;
const closeMilliseconds = 1_000;

/**
 * Redis (7 and newer) as the broker: a list for each lane, filled with RPUSH and read with BLMPOP, which waits and takes
 * hundreds in one call. Why not a stream with a consumer group: what a group remembers of who has received what guards
 * against a worker that dies with ids in hand, and against that an offer that runs out guards already. A list leaves
 * nothing behind, no acknowledgements, no pending entries of consumers long gone, no trimming.
 *
 * Each lane is read over a connection of its own, since one that waits can do nothing else.
 */
export function redisBroker(url: string): Broker {
  return {
    kind: 'Redis',
    name: `Redis at ${new URL(url).host}`,
    check: async () => {
      const client = await makeClient(url);
      client.on('error', () => {});
      try {
        await inTime(client.connect(), connectMilliseconds);
        await checkVersion(client);
      } finally {
        if (client.isOpen) client.destroy();
      }
    },
    connect: (options) => connect(url, options),
  };
}

type Client = Awaited<ReturnType<typeof makeClient>>;

async function makeClient(url: string) {
  // Seven hundred files: only for who asks for them.
  const { createClient } = await import('redis');
  return createClient({
    url,
    name: 'postern',
    // Whoever holds the link makes a new one.
    disableOfflineQueue: true,
    socket: { connectTimeout: connectMilliseconds, reconnectStrategy: false },
  });
}

async function connect(url: string, { installation, inbox, onLost }: LinkOptions): Promise<BrokerLink> {
  const commands = await makeClient(url);
  const readers = await Promise.all(lanes.map(() => makeClient(url)));
  const clients = [commands, ...readers];
  for (const client of clients) client.on('error', onLost);
  const destroy = () => {
    for (const client of clients) if (client.isOpen) client.destroy();
  };
  const key = (lane: Lane) => `postern:${installation}:${laneNames[lane]}`;
  let isOpen = true;
  try {
    await inTime(Promise.all(clients.map((client) => client.connect())), connectMilliseconds);
    await inTime(checkVersion(commands), connectMilliseconds);
  } catch (error) {
    destroy();
    throw error;
  }

  const read = async (client: Client, lane: Lane) => {
    while (isOpen) {
      const room = inbox.room(lane);
      if (room === 0) {
        await Promise.race([inbox.untilTaken(), closed]);
        continue;
      }
      const popped = await client.blmPop(blockSeconds, key(lane), 'LEFT', { COUNT: room });
      if (popped) inbox.add(lane, popped[1]);
    }
  };
  let close = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const readerIds = await Promise.all(readers.map((client) => client.clientId()));
  const reading = Promise.all(readers.map((client, index) => read(client, lanes[index] as Lane))).catch(onLost);

  return {
    depth: (lane) => commands.lLen(key(lane)),
    offer: async (lane, ids) => {
      await Promise.all([commands.rPush(key(lane), ids), commands.expire(key(lane), keepSeconds)]);
    },
    close: async () => {
      isOpen = false;
      close();
      // What a reader has just taken out must not be lost with its connection.
      const read = Promise.all(readerIds.map((id) => commands.clientUnblock(id))).then(() => reading);
      await inTime(read, closeMilliseconds).catch(() => {});
      destroy();
    },
  };
}

async function checkVersion(client: Client): Promise<void> {
  const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown';
  if (Number.parseInt(version, 10) >= 7) return;
  throw new Error(`Redis 7 or newer is needed; this server is ${version}`);
}
