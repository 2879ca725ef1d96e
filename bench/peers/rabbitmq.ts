import { connect } from 'amqplib';
import { concurrency, type Mail, type Producer } from './mail.ts';

/** Goes by itself a minute after the benchmark. */
const settings = { durable: true, expires: 60_000 };

export async function openProducer(url: string, queue: string): Promise<Producer> {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, settings);
  return {
    add: (mail) =>
      new Promise((resolve, reject) => {
        const content = Buffer.from(JSON.stringify(mail));
        channel.sendToQueue(queue, content, { persistent: true, messageId: mail.id }, (error) =>
          error ? reject(error) : resolve(),
        );
      }),
  };
}

export async function openConsumer(url: string, queue: string, handle: (mail: Mail) => Promise<void>): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, settings);
  await channel.prefetch(concurrency);
  await channel.consume(queue, async (message) => {
    if (message === null) return;
    try {
      await handle(JSON.parse(message.content.toString()));
      channel.ack(message);
    } catch {
      channel.nack(message);
    }
  });
}
