/**
 * The one connection of a process to REDIS_URL, for counting tries (`limits/`), keeping copies (cache.ts) and telling other
 * nodes of revocations (channel.ts). Redis holds nothing that is nowhere else, so whoever asks it has another way: an
 * answer that does not come in time is no answer.
 */
import type { Logger } from 'pino';
import { createClient } from 'redis';
import { inTime } from '../in-time.ts';

/** Who hears nothing for so long takes another way, and so does whoever comes next. Tries are counted anew there. */
const patienceMilliseconds = 500;
/** While it does not answer, one request in this time finds out whether it does again; the others do not wait. */
const restMilliseconds = 1_000;

type Client = ReturnType<typeof createClient>;

export interface Redis {
  /** The name of something of ours; several Posterns may share a Redis. */
  name: (what: string) => string;
  /** What Redis says, or undefined where it is away or too slow. A command that came too late may still be carried out. */
  ask: <T>(command: (client: Client) => Promise<T>) => Promise<T | undefined>;
  /** Hears what is published from now on, and again after each loss of the connection; what is said meanwhile is missed. */
  subscribe: (channel: string, onMessage: (message: string) => void) => void;
  /** Whether it answers now. */
  isWell: () => Promise<boolean>;
  close: () => void;
}

/** @param installation of the database: two that share a Redis share nothing in it */
export function openRedis(url: string, { installation, log }: { installation: string; log: Logger }): Redis {
  const client: Client = createClient({
    url,
    name: 'postern',
    // Whoever asks has another way, and takes it at once.
    disableOfflineQueue: true,
    socket: { connectTimeout: 5_000, reconnectStrategy: restMilliseconds },
  });
  let isWell = true;
  let isClosed = false;
  let restsUntil = 0;
  const lost = (error: unknown) => {
    if (isWell && !isClosed) log.error({ err: error }, 'Redis (REDIS_URL) cannot be reached; PostgreSQL does its work');
    isWell = false;
  };
  const found = () => {
    if (!isWell) log.info('Redis (REDIS_URL) is used again');
    isWell = true;
    restsUntil = 0;
  };
  client.on('error', lost);
  client.on('ready', found);
  client.connect().catch(lost);

  const ask: Redis['ask'] = async (command) => {
    const now = performance.now();
    if (!client.isReady || now < restsUntil) return undefined;
    if (!isWell) restsUntil = now + restMilliseconds;
    try {
      const answer = await inTime(command(client), patienceMilliseconds);
      found();
      return answer;
    } catch (error) {
      lost(error);
      return undefined;
    }
  };

  return {
    name: (what) => `postern:{${installation}}:${what}`,
    ask,
    subscribe: (channel, onMessage) => {
      // Over the same connection, which RESP 3 allows. Where it is subscribed already this does nothing.
      const subscribe = () => client.subscribe(channel, onMessage).catch(lost);
      client.on('ready', subscribe);
      if (client.isReady) subscribe();
    },
    isWell: async () => (await ask((asked) => asked.ping())) !== undefined,
    close: () => {
      isClosed = true;
      client.destroy();
    },
  };
}
