import { integer, list } from '../settings.ts';
import { checkRelay } from './smtp-relay.ts';

export const transportSettings = {
  smtpUrls: list('SMTP_URL', {
    default: [],
    defaultText: 'unset: the dev inbox; required in production',
    help:
      'SMTP relays in failover order, comma-separated: `smtp://user:password@host:587` (STARTTLS where offered) or ' +
      '`smtps://user:password@host:465`. Percent-encode `@ : / , %` in user and password. Options: `?tls=required` sends ' +
      'nothing unless STARTTLS succeeds, `?tls=never` does without; `?auth=plain`, `login` or `xoauth2` (the password is ' +
      'an access token) names how to log in.',
    secret: true,
    check: checkRelay,
  }),
  smtpConnections: integer('SMTP_CONNECTIONS', {
    default: 20,
    min: 1,
    max: 1_000,
    help: 'Connections to a relay at once, for each worker. Codes and links have four more.',
  }),
};
