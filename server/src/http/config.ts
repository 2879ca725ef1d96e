import { BlockList, isIP } from 'node:net';
import { integer, list, text, url } from '../settings.ts';

export const httpSettings = {
  port: integer('PORT', { default: 3000, min: 1, max: 65535, help: 'HTTP port.' }),
  host: text('HOST', { default: '127.0.0.1', help: 'Address to listen on. The container image sets `0.0.0.0`.' }),
  publicUrl: url('PUBLIC_URL', ['http:', 'https:'], {
    default: undefined,
    defaultText: '`http://localhost:PORT`',
    help: 'Issuer of every token and base of every link. Never taken from the Host header.',
  }),
  trustProxy: list('TRUST_PROXY', {
    default: [],
    defaultText: 'none',
    help: 'Addresses or CIDR ranges of proxies whose `X-Forwarded-For` counts, comma-separated.',
    check: checkAddressRange,
  }),
};

function checkAddressRange(item: string): void {
  const [address = '', prefix] = item.split('/');
  const family = isIP(address);
  if (family === 0) throw new Error(`must hold addresses or CIDR ranges, not ${item}`);
  if (prefix !== undefined) {
    try {
      new BlockList().addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4');
    } catch {
      throw new Error(`must hold addresses or CIDR ranges, not ${item}`);
    }
  }
}
