import { choice } from '../settings.ts';

export const limitSettings = {
  rateLimits: choice('RATE_LIMITS', ['on', 'off'], {
    default: 'on',
    help: '`off` lifts the limits by source address for load tests, never those by account or code. Refused in production.',
  }),
};
