import { Resolver } from 'node:dns';
import { list } from '../settings.ts';

export const domainSettings = {
  dnsServers: list('DNS_SERVERS', {
    default: [],
    defaultText: "unset: the system's",
    help: 'DNS servers that are asked about the domains of tenants, comma-separated: `192.0.2.53`, `[2001:db8::53]:5353`.',
    check: (item) => {
      try {
        new Resolver().setServers([item]);
      } catch {
        throw new Error(`holds "${item}", which is not an IP address with or without a port`);
      }
    },
  }),
};
