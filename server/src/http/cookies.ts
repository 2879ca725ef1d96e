/** The few cookies there are: for browsers on our own pages, never for other sites' scripts. */
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Over HTTPS the browser itself then sees to it that no other host of the domain can set or read it (S39). */
function cookieName(name: string, isHttps: boolean): string {
  return `${isHttps ? '__Host-' : ''}postern-${name}`;
}

export function readCookie({ headers }: FastifyRequest, name: string, isHttps: boolean): string | undefined {
  const wanted = `${cookieName(name, isHttps)}=`;
  for (const pair of headers.cookie?.split(';') ?? []) {
    const text = pair.trim();
    if (text.startsWith(wanted)) return text.slice(wanted.length);
  }
  return undefined;
}

/**
 * @param value of URL-safe characters alone; empty to take the cookie away
 * @param seconds how long the browser keeps it
 */
export function setCookie(
  reply: FastifyReply,
  name: string,
  value: string,
  { seconds, isHttps }: { seconds: number; isHttps: boolean },
): void {
  const attributes = ['Path=/', `Max-Age=${value === '' ? 0 : seconds}`, 'HttpOnly', 'SameSite=Lax'];
  if (isHttps) attributes.push('Secure');
  reply.header('Set-Cookie', `${cookieName(name, isHttps)}=${value}; ${attributes.join('; ')}`);
}
