import { url } from '../settings.ts';

export const redisSettings = {
  redisUrl: url('REDIS_URL', ['redis:', 'rediss:'], {
    default: undefined,
    defaultText: 'unset: PostgreSQL and the memory of each process',
    help:
      'Redis 7 or newer, where nodes share what has been tried how often and copies of sessions, and tell each other of ' +
      'revocations. It holds nothing of its own: PostgreSQL steps in while it is away.',
    secret: true,
  }),
};
