import { Connection } from 'rabbitmq-client';
import { rabbitmqBroker } from '../../src/queue/rabbitmq.ts';
import { describeBroker } from './broker-suite.ts';
import { openOverBroker } from './open-over-broker.ts';
import { describeQueue } from './queue-suite.ts';

const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';
const url = process.env.POSTERN_TEST_RABBITMQ_URL ?? '';
const skip = url === '' && !isRequired && 'POSTERN_TEST_RABBITMQ_URL names no RabbitMQ';
const lanes = ['otp', 'transactional', 'bulk'];
const queueOf = (installation: string, lane: string) => `postern.${installation}.${lane}`;

const remove = (installation: string) =>
  withConnection(async (connection) => {
    for (const lane of lanes) await connection.queueDelete(queueOf(installation, lane));
  });

describeQueue({
  name: 'RabbitMQ',
  skip,
  open: (parts) => openOverBroker({ ...parts, broker: rabbitmqBroker(url) }),
  remove,
});

describeBroker({
  name: 'RabbitMQ',
  skip,
  url,
  makeBroker: rabbitmqBroker,
  publish: (installation, lane, ids) =>
    withConnection(async (connection) => {
      const publisher = connection.createPublisher({ confirm: true });
      await publisher.send(queueOf(installation, lanes[lane] ?? ''), ids);
      await publisher.close();
    }),
  purge: (installation) =>
    withConnection(async (connection) => {
      for (const lane of lanes) await connection.queuePurge(queueOf(installation, lane));
    }),
  remove,
});

async function withConnection<T>(use: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = new Connection(url);
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}
