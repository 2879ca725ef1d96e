import type { OutgoingMessage } from '../../src/transport/transport.ts';

/** A small letter from a@example.com to b@example.com, but for what is told. */
export function aMessage({ content = Buffer.from('Subject: x\r\n\r\ny\r\n'), ...rest }: Partial<OutgoingMessage> = {}) {
  const size = Buffer.isBuffer(content) ? content.length : 0;
  return { from: 'a@example.com', recipients: ['b@example.com'], content, size, isUrgent: false, ...rest };
}
