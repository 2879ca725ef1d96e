/**
 * OAuth endpoints answer in the form of RFC 6749 §5.2: `{"error", "error_description"}`. Thrown inside these routes only;
 * `sendOAuthError` is their error handler, so that also validation and JSON faults leave in that form.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { defineError } from '../errors.ts';
import { toPosternError } from '../http/problem.ts';

export const clientExists = defineError('clients.already_exists', 409, 'There is a client of this id already');
export const clientNotFound = defineError('clients.not_found', 404, 'There is no such client');
export const clientInvalid = defineError('clients.invalid', 400, 'The client cannot be made like this');

export const consentNotFound = defineError('consents.not_found', 404, 'This application has nothing of yours');

export const interactionOver = defineError('oauth.interaction_over', 400, 'This sign-in is over');

export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_dpop_proof'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_redirect_uri'
  | 'invalid_client_metadata';

export class OAuthError extends Error {
  readonly error: OAuthErrorCode;
  constructor(error: OAuthErrorCode, description: string) {
    super(description);
    this.error = error;
  }
}

export function sendOAuthError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, error, description, retryAfterSeconds } = toAnswer(thrown);
  if (status >= 500) request.log.error({ err: thrown, reqId: request.id }, description);
  reply.headers({ 'Cache-Control': 'no-store', Pragma: 'no-cache' });
  if (status === 401) reply.header('WWW-Authenticate', 'Basic realm="postern", charset="UTF-8"');
  if (retryAfterSeconds !== undefined) reply.header('Retry-After', String(Math.max(1, Math.ceil(retryAfterSeconds))));
  reply
    .code(status)
    .type('application/json')
    .serializer((body: unknown) => JSON.stringify(body))
    // error_description takes printable ASCII without quotes and backslashes only.
    .send({ error, error_description: description.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, "'") });
}

function toAnswer(thrown: unknown) {
  if (thrown instanceof OAuthError) {
    return { status: thrown.error === 'invalid_client' ? 401 : 400, error: thrown.error, description: thrown.message };
  }
  const problem = toPosternError(thrown);
  const description = problem.details.detail ?? problem.title;
  if (problem.status === 503 || problem.status === 429) {
    const { retryAfterSeconds } = problem.details;
    return { status: problem.status, error: 'temporarily_unavailable', description, retryAfterSeconds };
  }
  if (problem.status >= 500) return { status: 500, error: 'server_error', description: problem.title };
  return { status: problem.status === 413 ? 413 : 400, error: 'invalid_request', description };
}
