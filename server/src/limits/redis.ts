import type { Redis } from '../redis/redis.ts';
import type { LimitStore } from './limits.ts';

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
 */
export function redisLimits({ redis, otherwise }: { redis: Redis; otherwise: LimitStore }): LimitStore {
  return {
    add: async (additions) => {
      const debts = await redis.ask((client) =>
        client.eval(addScript, {
          keys: additions.map(({ key }) => redis.name(`limits:${key}`)),
          arguments: additions.map(({ seconds }) => String(seconds)),
        }),
      );
      return debts === undefined ? otherwise.add(additions) : (debts as string[]).map(Number);
    },
  };
}
