import { list } from '../settings.ts';
import { readNetwork } from './target.ts';

export const webhookSettings = {
  webhookPrivateNetworks: list('WEBHOOK_PRIVATE_NETWORKS', {
    default: [],
    defaultText: 'none; the loopback addresses in development',
    help:
      'Addresses or CIDR ranges, comma-separated, that webhooks may call although they are not public, also over plain ' +
      'HTTP. Whoever may manage webhooks can then make Postern send requests there.',
    check: (item) => void readNetwork(item),
  }),
};
