/** Every error leaves as `application/problem+json` (RFC 9457) with a stable `code`. */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isUnavailable } from '../database/database.ts';
import { defineError, PosternError } from '../errors.ts';

export const invalidRequest = defineError('http.invalid_request', 400, 'The request is not valid');
export const notFound = defineError('http.not_found', 404, 'There is nothing here');
export const unsupportedMediaType = defineError(
  'http.unsupported_media_type',
  415,
  'The body is of a type this call does not read',
);
const methodNotAllowed = defineError('http.method_not_allowed', 405, 'This path does not take that method');
const headersTooLarge = defineError('http.headers_too_large', 431, 'The headers are too large');
const requestTimeout = defineError('http.request_timeout', 408, 'The request took too long');
const internal = defineError('http.internal', 500, 'Something went wrong here');
const databaseDown = defineError('database.unavailable', 503, 'The database cannot be reached');

// Fastify's own faults, by their code.
const httpFaults: Record<string, (detail: string) => PosternError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: (detail) => defineError('http.body_too_large', 413, 'The body is too large')({ detail }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    unsupportedMediaType({ detail: 'Send the body as JSON, with Content-Type: application/json.' }),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => invalidRequest({ detail: 'The body is empty; this call needs a JSON object.' }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: (detail) => invalidRequest({ detail }),
  FST_ERR_BAD_URL: () => invalidRequest({ detail: 'The path holds a percent sign that encodes no UTF-8.' }),
};

/** Maps whatever was thrown to the error the caller sees. */
export function toPosternError(error: unknown): PosternError {
  if (error instanceof PosternError) return error;
  if (isUnavailable(error)) {
    return databaseDown({ detail: 'Try again in a moment.', retryAfterSeconds: 1, cause: error });
  }
  const fault = error as Partial<FastifyError>;
  const known = fault.code === undefined ? undefined : httpFaults[fault.code];
  if (known) return known(fault.message ?? '');
  if (fault.statusCode !== undefined && fault.statusCode >= 400 && fault.statusCode < 500) {
    return defineError(
      'http.invalid_request',
      fault.statusCode,
      'The request is not valid',
    )({
      ...(fault.message === undefined ? {} : { detail: fault.message }),
    });
  }
  return internal({ cause: error });
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toPosternError(error);
  if (isWorthSaying(problem)) request.log.error({ err: error, reqId: request.id }, problem.title);
  const { retryAfterSeconds, headers } = problem.details;
  if (retryAfterSeconds !== undefined) reply.header('Retry-After', String(Math.max(1, Math.ceil(retryAfterSeconds))));
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer');
  if (headers) reply.headers(headers);
  // Fastify would close, and a client still busy sending would see a broken connection in place of this answer. Node
  // reads the rest and throws it away, for as long as a request may take.
  if (problem.status === 413) reply.removeHeader('Connection');
  reply
    .code(problem.status)
    .type('application/problem+json')
    // Written by hand: a route's own response schemas must not reshape it.
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problemBody(problem, request.id));
}

const quietMilliseconds = 60_000;
/** When a refusal was last said, by its code. */
const lastSaid = new Map<string, number>();

/**
 * A fault is said each time. That there is no room now is said once a minute, and that the database is away by those who
 * wait for it: whoever is overloaded must not fill the log as well.
 */
function isWorthSaying({ status, code, cause }: PosternError): boolean {
  if (status !== 503) return status >= 500;
  if (isUnavailable(cause)) return false;
  const now = performance.now();
  if (now - (lastSaid.get(code) ?? -quietMilliseconds) < quietMilliseconds) return false;
  lastSaid.set(code, now);
  return true;
}

function problemBody({ code, title, status, details: { detail, errors, members } }: PosternError, requestId: string) {
  return {
    type: `urn:postern:error:${code}`,
    title,
    status,
    ...(detail === undefined ? {} : { detail }),
    code,
    request_id: requestId,
    ...(errors === undefined ? {} : { errors }),
    ...members,
  };
}

/** Answers what was no HTTP request to begin with: there is a socket and nothing else to write to. */
export function answerUnreadable(error: Error & { code?: string }, socket: Socket): void {
  // Whoever is gone needs no answer.
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const problem = unreadable(error.code ?? '');
  const body = JSON.stringify(problemBody(problem, randomUUID()));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json',
    'X-Content-Type-Options: nosniff',
    'Cache-Control: no-store',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** The faults of Node's own HTTP reader, by their code. */
function unreadable(code: string): PosternError {
  if (code === 'HPE_HEADER_OVERFLOW') return headersTooLarge({ detail: 'Path and headers together take 16 KiB.' });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return requestTimeout({ detail: 'The request did not arrive in time.' });
  return invalidRequest({ detail: 'This is no HTTP request that can be read.' });
}

/** 404 for an unknown path; for a known one what OPTIONS asks, and 405 to any other method it does not take. */
export function answerUnknown(allowedMethods: (path: string) => string[]) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const path = request.url.split('?')[0] ?? '/';
    const allowed = allowedMethods(path);
    if (allowed.length > 0 && request.method === 'OPTIONS') {
      reply
        .code(204)
        .header('Allow', [...allowed, 'OPTIONS'].join(', '))
        .send();
    } else if (allowed.length > 0) {
      const detail = `${path} takes ${allowed.join(', ')}.`;
      sendProblem(methodNotAllowed({ detail, headers: { Allow: allowed.join(', ') } }), request, reply);
    } else {
      sendProblem(notFound({ detail: `No route for ${request.method} ${path}. See /docs.` }), request, reply);
    }
  };
}
