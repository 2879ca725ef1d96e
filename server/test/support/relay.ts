import { type SmtpOptions, SmtpTransport } from '../../src/transport/smtp.ts';
import type { Delivery, OutgoingMessage } from '../../src/transport/transport.ts';
import { aMessage } from './message.ts';
import { type ScriptedSmtp, startScriptedSmtp } from './scripted-smtp.ts';

export interface WithRelay {
  relay: ScriptedSmtp;
  transport: SmtpTransport;
  send: (message?: Partial<OutgoingMessage>) => Promise<Delivery>;
}

/** Runs a test with a scripted relay and a transport to it, both closed afterwards. */
export async function withRelay(
  script: Parameters<typeof startScriptedSmtp>[0],
  test: (parts: WithRelay) => Promise<void>,
  {
    url = (relay: ScriptedSmtp) => relay.url,
    ...options
  }: Partial<SmtpOptions> & {
    url?: (relay: ScriptedSmtp) => string;
  } = {},
): Promise<void> {
  const relay = await startScriptedSmtp(script);
  const transport = new SmtpTransport({ urls: [url(relay)], ...options });
  try {
    await test({ relay, transport, send: (message) => transport.send(aMessage(message)) });
  } finally {
    await transport.close();
    await relay.close();
  }
}

/** The outcome of each recipient, with the reply's code. */
export function outcomes({ results }: Delivery): string[] {
  return results.map(({ outcome, reply }) => (reply.code === null ? outcome : `${outcome} ${reply.code}`));
}
