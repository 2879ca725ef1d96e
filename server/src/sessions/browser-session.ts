/**
 * Sessions of browsers on our own pages. What the cookie holds is, like a refresh token, arithmetic over the session's id;
 * it is good until the session ends, and each page asks the database whether that is so.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { readCookie, setCookie } from '../http/cookies.ts';
import { levelOf } from '../second-factors/second-factor.ts';
import { type Login, makeSession } from './create-session.ts';
import type { SessionTimes } from './session.ts';
import { touchSession } from './store.ts';

export interface BrowserWorld extends SessionTimes {
  db: Database;
  secrets: Secrets;
  publicUrl: string;
}

/** Whoever is signed in at a browser. */
export type BrowserCaller = Caller & { sessionId: string };

const name = 'session';

/** @param value empty to sign the browser out */
export function setSessionCookie(
  { publicUrl, sessionSeconds }: BrowserWorld,
  reply: FastifyReply,
  value: string,
): void {
  setCookie(reply, name, value, { seconds: sessionSeconds, isHttps: publicUrl.startsWith('https:') });
}

/**
 * Logs a user in, in the caller's transaction if there is one.
 * @returns the value of the cookie
 * @throws invalidCredentials
 */
export async function openBrowserSession(world: BrowserWorld, tx: Queryable, login: Login): Promise<string> {
  const { id } = await makeSession(world, tx, login);
  return `${id}.${world.secrets.hmac('browser-session', id).toString('base64url')}`;
}

/** Who the cookie of a request stands for, or nobody. */
export async function browserCaller(
  { db, secrets, refreshTokenSeconds, publicUrl }: BrowserWorld,
  request: FastifyRequest,
): Promise<BrowserCaller | undefined> {
  const cookie = readCookie(request, name, publicUrl.startsWith('https:'));
  const [, sessionId, mac] = /^([0-9a-f-]{36})\.([\w-]{43})$/.exec(cookie ?? '') ?? [];
  if (sessionId === undefined || mac === undefined) return undefined;
  const given = Buffer.from(mac, 'base64url');
  if (!secrets.hmacs('browser-session', sessionId).some((good) => timingSafeEqual(good, given))) return undefined;
  const session = await touchSession(db, sessionId, refreshTokenSeconds);
  if (!session) return undefined;
  const { userId: id, tenantId, userScopes, methods, authenticatedAt } = session;
  return {
    kind: 'user',
    id,
    name: `user:${id}`,
    tenantId,
    scopes: new Set(['basic', 'email', ...userScopes]),
    sessionId,
    authenticatedAt,
    level: levelOf(methods),
  };
}
