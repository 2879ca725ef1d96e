import type { Logger } from 'pino';
import type { Database } from '../database/database.ts';
import type { Broker } from './broker.ts';
import { BrokerQueue } from './broker-queue.ts';
import { PostgresQueue } from './postgres.ts';
import type { OpenQueue } from './queue.ts';
import { rabbitmqBroker } from './rabbitmq.ts';
import { redisBroker } from './redis.ts';

interface QueueParts {
  db: Database;
  log: Logger;
  /** QUEUE_URL; absent: PostgreSQL. */
  url: string | undefined;
  /** Told what is wrong with the broker while letters go over PostgreSQL instead, and `undefined` once it is well. */
  onFault?: ((fault: string | undefined) => void) | undefined;
}

/** The queue that QUEUE_URL asks for. It is of use at once: a broker is connected to in the background. */
export function openQueue({ db, log, url, onFault }: QueueParts): OpenQueue {
  if (url === undefined) return new PostgresQueue({ db, log });
  return new BrokerQueue({ db, log, broker: brokerOf(url), onFault });
}

export function brokerOf(url: string): Broker {
  return url.startsWith('redis') ? redisBroker(url) : rabbitmqBroker(url);
}
