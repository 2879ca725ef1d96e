import { choice, url } from '../settings.ts';

export const limitSettings = {
  redisUrl: url('REDIS_URL', ['redis:', 'rediss:'], {
    default: undefined,
    defaultText: 'unset: PostgreSQL',
    help: 'Where nodes share what has been tried how often; PostgreSQL steps in while it is away.',
    secret: true,
  }),
  rateLimits: choice('RATE_LIMITS', ['on', 'off'], {
    default: 'on',
    help: '`off` lifts the limits by source address for load tests, never those by account or code. Refused in production.',
  }),
};
