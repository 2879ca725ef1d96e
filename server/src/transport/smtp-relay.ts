/** What an `SMTP_URL` says about a relay. */
import { isIP } from 'node:net';
import { checkUrl } from '../settings.ts';

export interface Relay {
  host: string;
  port: number;
  /** From the first byte (smtps); by STARTTLS where offered, or else not at all; or never. */
  tls: 'implicit' | 'required' | 'offered' | 'never';
  user: string;
  pass: string;
  /** The SASL mechanism to log in by; undefined: the best one that is offered. */
  mechanism: 'PLAIN' | 'LOGIN' | 'XOAUTH2' | undefined;
}

const mechanisms = { plain: 'PLAIN', login: 'LOGIN', xoauth2: 'XOAUTH2' } as const;

/** Throws an Error that completes "SMTP_URL …". */
export function checkRelay(url: string): void {
  checkUrl(url, ['smtp:', 'smtps:']);
  const { protocol, username, password, pathname, searchParams } = new URL(url);
  if (pathname !== '' && pathname !== '/') throw new Error('has a path after the host; an SMTP server has none');
  try {
    decodeURIComponent(username);
    decodeURIComponent(password);
  } catch {
    throw new Error('has a "%" in user or password that is not percent-encoding; write it as %25');
  }
  for (const [name, value] of searchParams) {
    const values = name === 'auth' ? Object.keys(mechanisms) : name === 'tls' ? ['required', 'never'] : undefined;
    if (!values) throw new Error(`has an unknown option "${name}"; there are "auth" and "tls"`);
    if (!values.includes(value)) throw new Error(`has a wrong option "${name}": it is one of ${values.join(', ')}`);
  }
  if (protocol === 'smtps:' && searchParams.has('tls')) throw new Error('has "tls", but smtps:// is always encrypted');
}

export function parseRelay(url: string): Relay {
  const { protocol, hostname, port, username, password, searchParams } = new URL(url);
  const isImplicit = protocol === 'smtps:';
  const tls = searchParams.get('tls');
  const auth = searchParams.get('auth');
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (isImplicit ? 465 : 587) : Number(port),
    tls: isImplicit ? 'implicit' : tls === 'required' || tls === 'never' ? tls : 'offered',
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
    mechanism: auth === 'plain' || auth === 'login' || auth === 'xoauth2' ? mechanisms[auth] : undefined,
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
