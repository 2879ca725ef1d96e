/**
 * Sessions of browsers on our own pages. What the cookie holds is, like a refresh token, arithmetic over the session's id;
 * it is good until the session ends, and each page asks whether that is so: the database, or a copy of what it said a
 * moment ago, which counts for nothing once the session is known to be revoked.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Cache } from '../cache.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { cookieText, readCookie, setCookie } from '../http/cookies.ts';
import { levelOf } from '../second-factors/second-factor.ts';
import { type Login, makeSession } from './create-session.ts';
import type { Revocations } from './revocations.ts';
import type { SessionTimes } from './session.ts';
import { SecondFactorOwed, signInSeconds } from './sign-in.ts';
import { type TouchedSession, touchSession } from './store.ts';

export interface BrowserWorld extends SessionTimes {
  db: Database;
  secrets: Secrets;
  publicUrl: string;
  cache: Cache;
  revocations: Pick<Revocations, 'isRevoked'>;
}

/** Whoever is signed in at a browser. */
export type BrowserCaller = Caller & { sessionId: string; methods: string[] };

const name = 'session';
const owedName = 'second-factor';
const continueName = 'continue';

/** @param value empty to sign the browser out */
export function setSessionCookie(world: BrowserWorld, reply: FastifyReply, value: string): void {
  reply.header('Set-Cookie', sessionCookie(world, value));
}

/** The same as the value of a header. */
export function sessionCookie({ publicUrl, sessionSeconds }: BrowserWorld, value: string): string {
  return cookieText(name, value, { seconds: sessionSeconds, isHttps: publicUrl.startsWith('https:') });
}

/** That a session is used is noted once in this time, and sooner where it would soon end idle. */
const keptSeconds = 30;

/**
 * Logs a user in, in the caller's transaction if there is one.
 * @returns the value of the cookie
 * @throws invalidCredentials
 */
export async function openBrowserSession(world: BrowserWorld, tx: Queryable, login: Login): Promise<string> {
  const { id } = await makeSession(world, tx, login);
  return `${id}.${world.secrets.hmac('browser-session', id).toString('base64url')}`;
}

/**
 * What became of a way in: a cookie for the session, or one for the sign-in that owes a second factor.
 * @param to where the session leads, unless the browser was on its way elsewhere
 * @returns where the browser goes
 */
export function enter(world: BrowserWorld, reply: FastifyReply, opened: string | SecondFactorOwed, to: string): string {
  const isOwed = opened instanceof SecondFactorOwed;
  const isHttps = world.publicUrl.startsWith('https:');
  setCookie(reply, owedName, isOwed ? opened.signInToken : '', { seconds: signInSeconds, isHttps });
  if (isOwed) return '/sign-in/second-factor';
  setSessionCookie(world, reply, opened);
  return continuation(world, reply.request) ?? to;
}

/**
 * Where a browser was on its way to when it had to sign in first: a flow of OAuth, known by its id, and the languages that
 * the client wants the pages on the way to have.
 */
interface Continuation {
  uid: string;
  languages: string[];
}

export function setContinuation(
  { publicUrl }: Pick<BrowserWorld, 'publicUrl'>,
  reply: FastifyReply,
  to: Continuation | undefined,
): void {
  const value = to === undefined ? '' : [to.uid, ...to.languages].join('.');
  setCookie(reply, continueName, value, { seconds: signInSeconds, isHttps: publicUrl.startsWith('https:') });
}

/** The path of that flow. */
export function continuation(world: Pick<BrowserWorld, 'publicUrl'>, request: Pick<FastifyRequest, 'headers'>) {
  const found = findContinuation(world, request);
  return found && `/oauth/interaction/${found.uid}`;
}

export function findContinuation(
  { publicUrl }: Pick<BrowserWorld, 'publicUrl'>,
  request: Pick<FastifyRequest, 'headers'>,
): Continuation | undefined {
  const value = readCookie(request, continueName, publicUrl.startsWith('https:'));
  if (value === undefined || !/^[\w-]{16,64}(\.[\w-]{2,35}){0,5}$/.test(value)) return undefined;
  const [uid = '', ...languages] = value.split('.');
  return { uid, languages };
}

/** The token of the sign-in that owes a second factor. */
export function owedToken({ publicUrl }: Pick<BrowserWorld, 'publicUrl'>, request: FastifyRequest): string | undefined {
  return readCookie(request, owedName, publicUrl.startsWith('https:'));
}

/** Who the cookie of a request stands for, or nobody. */
export async function browserCaller(
  world: BrowserWorld,
  request: Pick<FastifyRequest, 'headers'>,
): Promise<BrowserCaller | undefined> {
  const cookie = readCookie(request, name, world.publicUrl.startsWith('https:'));
  const [, sessionId, mac] = /^([0-9a-f-]{36})\.([\w-]{43})$/.exec(cookie ?? '') ?? [];
  if (sessionId === undefined || mac === undefined) return undefined;
  const { secrets, revocations } = world;
  const given = Buffer.from(mac, 'base64url');
  if (!secrets.hmacs('browser-session', sessionId).some((good) => timingSafeEqual(good, given))) return undefined;
  const session = await useSession(world, sessionId);
  // Asked last: a copy that was put back after the session's end is refused on every node within a second, as its tokens are.
  if (!session || (await revocations.isRevoked([sessionId]))) return undefined;
  const { userId: id, tenantId, rights, methods, authenticatedAt } = session;
  return {
    kind: 'user',
    id,
    name: `user:${id}`,
    tenantId,
    scopes: new Set(rights.scopes),
    sessionId,
    authenticatedAt,
    level: levelOf(methods),
    methods,
  };
}

const nameOf = (id: string) => `session:${id}`;

/** To be called after the commit of what changes a session but does not end it. */
export function forgetSession(cache: Cache, id: string): Promise<void> {
  return cache.forget(nameOf(id));
}

async function useSession(
  { db, cache, revocations, refreshTokenSeconds }: BrowserWorld,
  id: string,
): Promise<TouchedSession | undefined> {
  const noted = { idleSeconds: refreshTokenSeconds, notedSeconds: Math.min(keptSeconds, refreshTokenSeconds / 10) };
  const touch = () => touchSession(db, id, noted);
  const session = await cache.through(nameOf(id), async () => {
    const value = await touch();
    return { value, seconds: Math.min(keptSeconds, (value?.secondsLeft ?? 0) / 10) };
  });
  if (!session || !(await revocations.isRevoked(session.rights.revisions))) return session;
  // A copy from before a right was taken away: what remains the database knows.
  await forgetSession(cache, id);
  return touch();
}
