/** What goes through the broker: the whole mail, which spares the worker a read. */
export interface Mail {
  id: string;
  from: string;
  to: string;
  subject: string;
  text: string;
}

export interface Producer {
  /** Resolves once the broker has it. */
  add: (mail: Mail) => Promise<void>;
}

/** How many mails a worker has in hand: twice its SMTP connections, so that none of them waits for the broker. */
export const concurrency = 40;

export interface Broker {
  openProducer: (url: string, queue: string) => Promise<Producer>;
  /** `handle` throws where the mail is to be tried again. */
  openConsumer: (url: string, queue: string, handle: (mail: Mail) => Promise<void>) => Promise<void>;
}

export async function brokerOf(kind: string | undefined): Promise<Broker> {
  return kind === 'rabbitmq' ? import('./rabbitmq.ts') : import('./bullmq.ts');
}
