import type { Logger } from 'pino';
import { type Cache, noCache } from '../cache.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import type { LimitStore } from '../limits/limits.ts';
import { postgresLimits } from '../limits/postgres.ts';
import { redisLimits } from '../limits/redis.ts';
import { readInstallation } from '../queue/offers.ts';
import { redisCache } from './cache.ts';
import { redisChannel } from './channel.ts';

/** What nodes share for the sake of speed. */
export interface Shared {
  limitStore: LimitStore;
  cache: Cache;
  /** What is absent without Redis. */
  redis?: { revocations: ReturnType<typeof redisChannel>; isWell: () => Promise<boolean>; close: () => void };
}

export async function openShared({
  redisUrl,
  db,
  secrets,
  log,
}: {
  redisUrl: string | undefined;
  db: Database;
  secrets: Secrets;
  log: Logger;
}): Promise<Shared> {
  const limitStore = postgresLimits(db);
  if (redisUrl === undefined) return { limitStore, cache: noCache };
  // The client of Redis is large: only who asks for it loads it.
  const { openRedis } = await import('./redis.ts');
  const redis = openRedis(redisUrl, { installation: await readInstallation(db), log });
  return {
    limitStore: redisLimits({ redis, otherwise: limitStore }),
    cache: redisCache({ redis, secrets }),
    redis: {
      revocations: redisChannel('revocations', { redis, secrets }),
      isWell: redis.isWell,
      close: redis.close,
    },
  };
}
