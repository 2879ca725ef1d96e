import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { concurrency, type Mail, type Producer } from './mail.ts';

const connectionTo = (url: string) => new Redis(url, { maxRetriesPerRequest: null });

export async function openProducer(url: string, queue: string): Promise<Producer> {
  const mails = new Queue<Mail>(queue, {
    connection: connectionTo(url),
    defaultJobOptions: { attempts: 8, backoff: { type: 'exponential', delay: 60_000 }, removeOnComplete: true },
  });
  await mails.waitUntilReady();
  return {
    add: async (mail) => {
      await mails.add('send', mail, { jobId: mail.id });
    },
  };
}

export async function openConsumer(url: string, queue: string, handle: (mail: Mail) => Promise<void>): Promise<void> {
  const worker = new Worker<Mail>(queue, (job) => handle(job.data), { connection: connectionTo(url), concurrency });
  worker.on('error', (error) => console.error(error));
  await worker.waitUntilReady();
}
