import type { Channel, Connection } from 'rabbitmq-client';
import { inTime } from '../in-time.ts';
import { type Broker, type BrokerLink, type Lane, type LinkOptions, lanes } from './broker.ts';

const laneNames = ['otp', 'transactional', 'bulk'] as const;
/** Ids in a message: for the broker a message is what costs, and for the worker a claim is hundreds of ids. */
const idsInMessage = 20;
/** Messages on their way to a worker: two claims' worth when they are full. */
const prefetch = 20;
/** What nobody has fetched by then was offered again long ago. */
const keepMilliseconds = 60_000;
/** Queues of a Postern that is no more go away by themselves. */
const expireMilliseconds = 24 * 3_600_000;
const connectMilliseconds = 5_000;
const closeMilliseconds = 1_000;
const heartbeatSeconds = 10;

/**
 * RabbitMQ (3.10 and newer, and 4) as the broker: a quorum queue for each lane, publisher confirms, consumers with a
 * prefetch of their own. A message that is brought back twenty times is given up: its letters are offered anew anyway.
 * Nothing is used that version 4 has removed: the prefetch is the consumer's, not the channel's, and queues are durable.
 */
export function rabbitmqBroker(url: string): Broker {
  return {
    kind: 'RabbitMQ',
    name: `RabbitMQ at ${new URL(url).host}`,
    check: async () => {
      const connection = await makeConnection(url);
      try {
        await established(connection);
        await connection.close();
      } finally {
        connection.unsafeDestroy();
      }
    },
    connect: (options) => connect(url, options),
  };
}

async function makeConnection(url: string): Promise<Connection> {
  const { Connection } = await import('rabbitmq-client');
  return new Connection({
    url,
    connectionName: 'postern',
    connectionTimeout: connectMilliseconds,
    acquireTimeout: connectMilliseconds,
    heartbeat: heartbeatSeconds,
    noDelay: true,
  });
}

async function connect(url: string, { installation, inbox, onLost }: LinkOptions): Promise<BrokerLink> {
  const connection = await makeConnection(url);
  const queueOf = (lane: Lane) => `postern.${installation}.${laneNames[lane]}`;
  let isOpen = true;
  const lose = (error: Error) => {
    if (isOpen) onLost(error);
  };
  try {
    await established(connection);
    connection.on('error', lose);
    connection.on('connection.blocked', (reason) => lose(new Error(`the broker takes nothing in: ${reason}`)));
    const publisher = await openChannel(connection, lose);
    await publisher.confirmSelect();
    publisher.on('basic.return', () => lose(new Error('a queue was deleted')));
    for (const lane of lanes) await declare(publisher, queueOf(lane));
    const channels = [publisher];
    for (const lane of lanes) {
      const channel = await openChannel(connection, lose);
      channels.push(channel);
      channel.on('basic.cancel', () => lose(new Error('a queue was deleted')));
      await channel.basicQos({ prefetchCount: prefetch });
      await channel.basicConsume({ queue: queueOf(lane) }, ({ body, deliveryTag }) => {
        const acknowledge = () => {
          if (channel.active) channel.basicAck({ deliveryTag });
        };
        if (isOpen) inbox.add(lane, body, acknowledge);
      });
    }
    return {
      depth: async (lane) => {
        const { messageCount } = await publisher.queueDeclare({ queue: queueOf(lane), passive: true });
        return messageCount * idsInMessage;
      },
      offer: async (lane, ids) => {
        const messages: Promise<void>[] = [];
        for (let start = 0; start < ids.length; start += idsInMessage) {
          const envelope = { routingKey: queueOf(lane), durable: true, mandatory: true };
          messages.push(publisher.basicPublish(envelope, ids.slice(start, start + idsInMessage)));
        }
        await Promise.all(messages);
      },
      close: async () => {
        isOpen = false;
        await end(connection, channels);
      },
    };
  } catch (error) {
    isOpen = false;
    connection.unsafeDestroy();
    throw error;
  }
}

/** The library would go on trying by itself; the first failure is what whoever called wants to know. */
function established(connection: Connection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.once('error', reject);
    connection.onConnect(connectMilliseconds).then(() => {
      connection.off('error', reject);
      resolve();
    }, reject);
  });
}

async function openChannel(connection: Connection, lose: (error: Error) => void): Promise<Channel> {
  const channel = await connection.acquire({ emitErrorsFromChannel: true });
  channel.on('error', lose);
  channel.on('close', () => lose(new Error('a channel was closed')));
  return channel;
}

async function declare(channel: Channel, queue: string): Promise<void> {
  await channel.queueDeclare({
    queue,
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': 20,
      'x-message-ttl': keepMilliseconds,
      'x-expires': expireMilliseconds,
    },
  });
}

/** In order where the broker answers, otherwise without it. */
async function end(connection: Connection, channels: Channel[]): Promise<void> {
  const closed = Promise.all(channels.map((channel) => channel.close())).then(() => connection.close());
  try {
    if (connection.ready) await inTime(closed, closeMilliseconds);
  } catch {
    // Cut off below.
  } finally {
    connection.unsafeDestroy();
  }
}
