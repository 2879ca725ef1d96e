/** The few cookies there are: for browsers on our own pages, never for other sites' scripts. */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Over HTTPS the browser itself then sees to it that no other host of the domain can set or read it (S39). */
export function cookieName(name: string, isHttps: boolean): string {
  return `${isHttps ? '__Host-' : ''}postern-${name}`;
}

export function readCookie(
  { headers }: { headers: IncomingHttpHeaders },
  name: string,
  isHttps: boolean,
): string | undefined {
  const wanted = `${cookieName(name, isHttps)}=`;
  for (const pair of headers.cookie?.split(';') ?? []) {
    const text = pair.trim();
    if (text.startsWith(wanted)) return text.slice(wanted.length);
  }
  return undefined;
}

interface Kept {
  /** How long the browser keeps it. */
  seconds: number;
  isHttps: boolean;
}

/** @param value of URL-safe characters alone; empty to take the cookie away */
export function setCookie(reply: FastifyReply, name: string, value: string, kept: Kept): void {
  reply.header('Set-Cookie', cookieText(name, value, kept));
}

/** The value of a `Set-Cookie` header. */
export function cookieText(name: string, value: string, { seconds, isHttps }: Kept): string {
  const attributes = ['Path=/', `Max-Age=${value === '' ? 0 : seconds}`, 'HttpOnly', 'SameSite=Lax'];
  if (isHttps) attributes.push('Secure');
  return `${cookieName(name, isHttps)}=${value}; ${attributes.join('; ')}`;
}
