import { checkUrl, list } from '../settings.ts';

export const transportSettings = {
  smtpUrls: list('SMTP_URL', {
    default: [],
    defaultText: 'unset: the dev inbox; required in production',
    help:
      'SMTP relays in failover order, comma-separated: `smtp://user:password@host:587` (STARTTLS where offered) or ' +
      '`smtps://user:password@host:465`. Percent-encode `@ : / , %` in user and password.',
    secret: true,
    check: checkRelay,
  }),
};

function checkRelay(item: string): void {
  checkUrl(item, ['smtp:', 'smtps:']);
  const { username, password, pathname } = new URL(item);
  if (pathname !== '' && pathname !== '/') throw new Error('has a path after the host; an SMTP server has none');
  try {
    decodeURIComponent(username);
    decodeURIComponent(password);
  } catch {
    throw new Error('has a "%" in user or password that is not percent-encoding; write it as %25');
  }
}
