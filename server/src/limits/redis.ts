import type { Logger } from 'pino';
import { createClient } from 'redis';
import { inTime } from '../in-time.ts';
import type { LimitStore } from './limits.ts';

/** What a try may wait for Redis before it is counted elsewhere. */
const patienceMilliseconds = 500;

/** KEYS: buckets; ARGV: seconds to add. Each is kept as the instant (µs of Redis's clock) at which all of it is paid. */
const addScript = `
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local debts = {}
  for i, key in ipairs(KEYS) do
    local paidAt = math.max(tonumber(redis.call('GET', key) or 0), now) + ARGV[i] * 1000000
    local debt = paidAt - now
    if debt > 0 then
      redis.call('SET', key, string.format('%.0f', paidAt), 'PX', math.ceil(debt / 1000))
    else
      redis.call('DEL', key)
    end
    debts[i] = tostring(debt / 1000000)
  end
  return debts`;

/**
 * Buckets in Redis. While it cannot be reached they are in `otherwise`, which knows nothing of what Redis had counted:
 * for that while there are as many tries more as a full bucket holds.
 * @param installation of the database: two that share a Redis share no bucket
 */
export function redisLimits(
  url: string,
  { installation, otherwise, log }: { installation: string; otherwise: LimitStore; log: Logger },
): LimitStore & { close: () => void } {
  const client = createClient({
    url,
    name: 'postern-limits',
    // A try is counted at once, here or elsewhere.
    disableOfflineQueue: true,
    socket: { connectTimeout: 5_000, reconnectStrategy: 1_000 },
  });
  let isSaid = false;
  const lost = (error: unknown) => {
    if (!isSaid) log.error({ err: error }, 'Redis (REDIS_URL) cannot be reached; limits are counted in PostgreSQL');
    isSaid = true;
  };
  client.on('error', lost);
  const found = () => {
    if (isSaid) log.info('limits are counted in Redis again');
    isSaid = false;
  };
  client.on('ready', found);
  client.connect().catch(lost);

  return {
    add: async (additions) => {
      if (!client.isReady) return otherwise.add(additions);
      try {
        const reply = client.eval(addScript, {
          keys: additions.map(({ key }) => `postern:{${installation}:limits}:${key}`),
          arguments: additions.map(({ seconds }) => String(seconds)),
        });
        const debts = ((await inTime(reply, patienceMilliseconds)) as string[]).map(Number);
        // One that only was slow has not lost its connection.
        found();
        return debts;
      } catch (error) {
        lost(error);
        return otherwise.add(additions);
      }
    },
    close: () => client.destroy(),
  };
}
