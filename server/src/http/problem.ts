/** Every error leaves as `application/problem+json` (RFC 9457) with a stable `code`. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isUnavailable } from '../database/database.ts';
import { defineError, PosternError } from '../errors.ts';

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'URN of the error code' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    code: Type.String({ description: 'Stable and dotted; rely on this' }),
    request_id: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
  },
  { $id: 'Problem' },
);

export const invalidRequest = defineError('http.invalid_request', 400, 'The request is not valid');
export const notFound = defineError('http.not_found', 404, 'There is nothing here');
const methodNotAllowed = defineError('http.method_not_allowed', 405, 'This path does not take that method');
const internal = defineError('http.internal', 500, 'Something went wrong here');
const databaseCode = 'database.unavailable';
const databaseDown = defineError(databaseCode, 503, 'The database cannot be reached');

// Fastify's own faults, by their code.
const httpFaults: Record<string, (detail: string) => PosternError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: (detail) => defineError('http.body_too_large', 413, 'The body is too large')({ detail }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: (detail) =>
    defineError('http.unsupported_media_type', 415, 'The body is of a type this call does not read')({ detail }),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => invalidRequest({ detail: 'The body is empty; this call needs a JSON object.' }),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: (detail) => invalidRequest({ detail }),
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
  // That the database is away is said once, by those who wait for it, not once a request.
  if (problem.status >= 500 && problem.code !== databaseCode) request.log.error({ err: error }, problem.title);
  const { detail, errors, retryAfterSeconds, headers } = problem.details;
  if (retryAfterSeconds !== undefined) reply.header('Retry-After', String(Math.max(1, Math.ceil(retryAfterSeconds))));
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer');
  if (headers) reply.headers(headers);
  reply
    .code(problem.status)
    .type('application/problem+json')
    // Written by hand: a route's own response schemas must not reshape it.
    .serializer((body: unknown) => JSON.stringify(body))
    .send({
      type: `urn:postern:error:${problem.code}`,
      title: problem.title,
      status: problem.status,
      ...(detail === undefined ? {} : { detail }),
      code: problem.code,
      request_id: request.id,
      ...(errors === undefined ? {} : { errors }),
    });
}

/** 404 for an unknown path, 405 for a known one called with another method. */
export function answerUnknown(allowedMethods: (path: string) => string[]) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const path = request.url.split('?')[0] ?? '/';
    const allowed = allowedMethods(path);
    if (allowed.length > 0) {
      const detail = `${path} takes ${allowed.join(', ')}.`;
      sendProblem(methodNotAllowed({ detail, headers: { Allow: allowed.join(', ') } }), request, reply);
    } else {
      sendProblem(notFound({ detail: `No route for ${request.method} ${path}. See /docs.` }), request, reply);
    }
  };
}
