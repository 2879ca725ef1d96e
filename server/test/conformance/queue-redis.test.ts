import { createClient } from 'redis';
import { redisBroker } from '../../src/queue/redis.ts';
import { describeBroker } from './broker-suite.ts';
import { openOverBroker } from './open-over-broker.ts';
import { describeQueue } from './queue-suite.ts';

const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';
const url = process.env.POSTERN_TEST_REDIS_URL ?? '';
const skip = url === '' && !isRequired && 'POSTERN_TEST_REDIS_URL names no Redis';
const lanes = ['otp', 'transactional', 'bulk'];
const keyOf = (installation: string, lane: string) => `postern:${installation}:${lane}`;

const remove = async (installation: string) => {
  await withClient((client) => client.del(lanes.map((lane) => keyOf(installation, lane))));
};

describeQueue({
  name: 'Redis',
  skip,
  open: (parts) => openOverBroker({ ...parts, broker: redisBroker(url) }),
  remove,
});

describeBroker({
  name: 'Redis',
  skip,
  url,
  makeBroker: redisBroker,
  publish: async (installation, lane, ids) => {
    await withClient((client) => client.rPush(keyOf(installation, lanes[lane] ?? ''), ids));
  },
  purge: async (installation) => {
    await withClient((client) => client.del(lanes.map((lane) => keyOf(installation, lane))));
  },
  remove,
});

async function withClient<T>(use: (client: ReturnType<typeof makeClient>) => Promise<T>): Promise<T> {
  const client = makeClient();
  await client.connect();
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}

function makeClient() {
  return createClient({ url });
}
