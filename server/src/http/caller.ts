/** Who is calling. The tenant and the rights of a request come from here and nowhere else. */
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { defineError } from '../errors.ts';

export interface Caller {
  kind: 'user' | 'client';
  /** Id (UUID) of the user, the client, or the API key: a key is a client too, known by nothing else. */
  id: string;
  /** How it appears in history: `user:<uuid>`, `client:<client_id>` or `key:<uuid>`. */
  name: string;
  tenantId: string;
  scopes: ReadonlySet<string>;
  /**
   * The client (by its `client_id`) that calls in the name of this user, by a token that the user has let it have. Such a
   * caller has no session, whether its token ends with one or not, and may do nothing that is the user's own business.
   */
  client?: string;
  /** Of a user's login; absent for clients. */
  sessionId?: string;
  /** When the user has authenticated last (seconds since 1970), and with one factor (`aal1`) or two (`aal2`). */
  authenticatedAt?: number;
  level?: string;
}

/** What of a request says who is calling: the credential, and what its proof (RFC 9449) speaks of. */
export type CredentialedRequest = Pick<FastifyRequest, 'method' | 'url' | 'headers'>;

/**
 * Turns the Authorization header of a request into its caller.
 * @throws unauthorized, invalidDpopProof
 */
export type Authenticate = (request: CredentialedRequest) => Promise<Caller>;

export const unauthorized = defineError('auth.unauthorized', 401, 'A valid credential is needed');
export const invalidDpopProof = defineError('auth.invalid_dpop_proof', 401, 'The DPoP proof is missing or not valid');
export const forbidden = defineError('auth.insufficient_scope', 403, 'The credential lacks a scope');

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | undefined;
  }
}

/**
 * A hook that lets only callers with a scope pass. It runs before the body is read. What needs no scope, or `basic`, is the
 * caller's own account, so programs that users have given a token to pass there only where the route lets them.
 */
export type Needs = (scope?: string, options?: { letsDelegated?: boolean }) => onRequestAsyncHookHandler;

export function makeNeeds(authenticate: Authenticate): Needs {
  return (scope, { letsDelegated = scope !== undefined && scope !== 'basic' } = {}) =>
    async (request) => {
      const caller = await authenticate(request);
      if (!letsDelegated) refuseDelegated(caller);
      if (scope !== undefined) requireScope(caller, scope);
      request.caller = caller;
    };
}

/**
 * For what a user does as themselves: whoever holds a token of theirs as another program is not them.
 * @throws forbidden
 */
export function refuseDelegated({ client }: Caller): void {
  if (client === undefined) return;
  throw forbidden({
    detail: 'A token given to another program cannot do this; it takes a session of the user.',
    headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' },
  });
}

/** Whether a caller is that user themselves. */
export function isOneself({ id, client }: Caller, userId: string | undefined): boolean {
  return id === userId && client === undefined;
}

/** `admin` holds every right; `mail:admin` those over mail. */
export function hasScope(caller: Caller, scope: string): boolean {
  return (
    caller.scopes.has(scope) || caller.scopes.has('admin') || (scope === 'email' && caller.scopes.has('mail:admin'))
  );
}

export function requireScope(caller: Caller, scope: string): void {
  if (hasScope(caller, scope)) return;
  throw forbidden({
    detail: `This call needs the scope "${scope}".`,
    headers: { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${scope}"` },
  });
}

/**
 * A hook to stand after `needs`: of users it lets only those pass who hold `scope`. A user's own session may send mail,
 * but what belongs to the whole tenant is its programs' and administrators' business.
 */
export function programsOr(scope: string): onRequestAsyncHookHandler {
  return async (request) => {
    const caller = callerOf(request);
    if (caller.kind === 'user') requireScope(caller, scope);
  };
}

/** The caller of a route that has a `needs` hook. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error(`${request.routeOptions.url} reads its caller but has no needs() hook.`);
  return request.caller;
}

/**
 * The `Basic` credential of a header, or undefined where it is of another scheme or absent.
 * @throws unauthorized when it is malformed (S15)
 */
export function basicCredential(authorization: string | undefined): { user: string; password: string } | undefined {
  const match = /^basic +(\S*) *$/i.exec(authorization ?? '');
  if (!match) {
    if (/^basic\b/i.test(authorization ?? '')) throw malformedBasic();
    return undefined;
  }
  const encoded = match[1] ?? '';
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) throw malformedBasic();
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1 || decoded.includes('\uFFFD') || decoded.includes('\0')) throw malformedBasic();
  return { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

function malformedBasic() {
  return unauthorized({
    detail: 'The Basic credential is malformed: it is base64 of "user:password".',
    headers: { 'WWW-Authenticate': 'Basic realm="postern", charset="UTF-8"' },
  });
}
