/**
 * What every answer carries: the security headers (S40) and the leave for pages of any origin to call (S39). Their values
 * are known at the start, so no library computes them anew for each answer: that took a tenth of accepting a letter.
 */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join(';');

/** The same for pages whose forms end at an address of somebody else's: browsers hold redirects to it as well. */
export const policyForAnyTarget = policy.replace("form-action 'self';", '');

// Credentials travel in the Authorization header only, so any origin may call; no cookie is ever sent along.
const crossOrigin = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Location, Retry-After, WWW-Authenticate, Idempotent-Replay, X-Request-Id',
};

/** A hook that sets them before anything else can answer. */
export function standardHeaders({ isHttps }: { isHttps: boolean }): onRequestHookHandler {
  const always = {
    'content-security-policy': policy,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    // Not `no-referrer`: browsers would then send our own forms as if they came from nowhere (`Origin: null`).
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cache-control': 'no-store',
    // Over plain HTTP browsers ignore it, and on localhost it would lock the developer's other ports to HTTPS.
    ...(isHttps && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
  };
  const forAnyOrigin = { ...always, ...crossOrigin };
  return (request, reply, done) => {
    reply.headers(isInbox(request) ? always : forAnyOrigin).header('x-request-id', request.id);
    const isPreflight = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers;
    if (isPreflight) preflight(request, reply);
    else done();
  };
}

/** Answers what a browser asks before it lets a page make a call that a form could not. */
function preflight(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (isInbox(request)) return reply.code(204).send();
  const asked = request.headers['access-control-request-headers'];
  return reply
    .code(204)
    .headers({
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-max-age': '600',
      vary: 'Access-Control-Request-Headers',
      ...(asked !== undefined && { 'access-control-allow-headers': asked }),
    })
    .send();
}

/**
 * The dev inbox holds codes and stays readable for its own page alone. Asked by route, since the path may be written
 * `/%69nbox`; a preflight meets no route, and is told nothing where its path looks like one of the inbox.
 */
function isInbox({ routeOptions, method, url }: FastifyRequest): boolean {
  if (method !== 'OPTIONS') return routeOptions.url?.startsWith('/inbox') ?? false;
  return /inbox|%/i.test(url);
}
