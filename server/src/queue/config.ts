import { url } from '../settings.ts';

export const queueSettings = {
  queueUrl: url('QUEUE_URL', ['redis:', 'rediss:', 'amqp:', 'amqps:'], {
    default: undefined,
    defaultText: 'unset: PostgreSQL',
    help: 'How work reaches the workers: `redis://…` (7 and newer) or `amqp://…` (RabbitMQ 3.10 and newer), with `rediss:` and `amqps:` for TLS. Only ids pass there; a broker that is away or loses them costs time, not mail.',
    secret: true,
  }),
};
