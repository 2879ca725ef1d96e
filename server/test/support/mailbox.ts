import type { Postern } from './start-postern.ts';
import { waitFor } from './wait-for.ts';

export interface InboxMessage {
  id: string;
  from: string;
  to: string[];
  subject: string;
  text: string;
  html: string;
  received_at: string;
}

/** The newest letter to `address` in the dev inbox that `matches`, once it has arrived. */
export async function letterTo(
  postern: Postern,
  address: string,
  matches: (message: InboxMessage) => boolean = () => true,
): Promise<InboxMessage> {
  return waitFor(
    async () => {
      const reply = await postern.call('GET', `/inbox/messages?to=${encodeURIComponent(address)}&limit=20`);
      return (reply.body.data as InboxMessage[]).find(matches);
    },
    { what: `a letter to ${address}`, detail: postern.output },
  );
}

/** The code and the link in a letter. */
export function proofIn(message: InboxMessage): { code: string; link: string; token: string } {
  const code = /\b(\d{4})\b/.exec(message.text)?.[1];
  const link = /(https?:\/\/\S+\/auth\/\S+\?token=([\w.~-]+))/.exec(message.text);
  if (!code || !link?.[1] || !link[2]) throw new Error(`No code and link in:\n${message.text}`);
  return { code, link: link[1], token: link[2] };
}
