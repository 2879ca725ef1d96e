import { BrokerQueue, type BrokerQueueParts } from '../../src/queue/broker-queue.ts';

/** Opens a queue and waits until letters go over its broker. */
export async function openOverBroker(parts: BrokerQueueParts): Promise<BrokerQueue> {
  const { promise: isUp, resolve } = Promise.withResolvers<void>();
  const queue = new BrokerQueue({
    ...parts,
    onFault: (fault) => {
      parts.onFault?.(fault);
      if (fault === undefined) resolve();
    },
  });
  await isUp;
  return queue;
}
