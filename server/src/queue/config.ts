import { url } from '../settings.ts';

export const queueSettings = {
  queueUrl: url('QUEUE_URL', ['redis:', 'rediss:', 'amqp:', 'amqps:'], {
    default: undefined,
    defaultText: 'unset: PostgreSQL',
    help: 'How work reaches the workers. This version spreads it over PostgreSQL whatever is set here, and says so at start.',
    secret: true,
  }),
};
