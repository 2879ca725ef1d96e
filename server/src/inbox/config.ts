import { integer } from '../settings.ts';

export const inboxSettings = {
  inboxPort: integer('INBOX_PORT', {
    default: 1025,
    min: 0,
    max: 65535,
    help: 'SMTP port of the dev inbox, on 127.0.0.1 (development only). Any program may send to it.',
  }),
};
