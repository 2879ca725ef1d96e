/** Programs that register themselves as clients (RFC 7591), where the operator lets them: OAUTH_REGISTRATION. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { callerOf } from '../http/caller.ts';
import { sendProblem, toPosternError } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { openIdScopes } from './client.ts';
import type { ClientWorld } from './client-routes.ts';
import { ClientWithSecretAnswer, NewClientBody } from './client-schemas.ts';
import { OAuthError, sendOAuthError } from './errors.ts';
import { createClient } from './manage-clients.ts';
import { presentClient } from './present-client.ts';
import { paths } from './provider/paths.ts';

export interface RegisterWorld extends ClientWorld {
  oauthRegistration: 'off' | 'on';
}

/** Members that are the operator's to give. */
const { client_id: _id, skip_consent: _consent, resources: _resources, ...members } = NewClientBody.properties;
const Body = Type.Object({ ...members, scope: Type.Optional(members.scope) }, { additionalProperties: false });

/** What a client may have that nobody has looked at: who the user is, and nothing that is Postern's. */
const allowed: readonly string[] = [...openIdScopes, 'basic'];

export function registerRoutes(world: RegisterWorld): Routes {
  return (app) => {
    if (world.oauthRegistration === 'off') return;
    app.post(
      paths.registration,
      {
        onRequest: world.needs('clients:register'),
        // What is not understood is left out (RFC 7591 §2), and the answer says what was registered.
        preValidation: async (request) => {
          const { body } = request as { body: unknown };
          if (typeof body !== 'object' || body === null || Array.isArray(body)) return;
          const known = Object.entries(body).filter(([name]) => Object.hasOwn(members, name));
          request.body = Object.fromEntries(known) as typeof request.body;
        },
        errorHandler: sendRegistrationError,
        schema: {
          tags: ['OAuth'],
          summary: 'Register a client (RFC 7591)',
          description:
            'Where OAUTH_REGISTRATION is on. Needs the scope `clients:register`. The secret is shown this once.',
          security: [{ bearer: [] }],
          body: Body,
          response: { 201: ClientWithSecretAnswer },
        },
      },
      async (request, reply) => {
        const { scope, grant_types, redirect_uris, response_types, ...metadata } = request.body;
        const { tenantId, name: actor } = callerOf(request);
        const grants = grant_types ?? ['authorization_code'];
        const { client, secret } = await createClient(world, {
          tenantId,
          actor,
          scopes: scopesFor(scope, grants),
          grants,
          redirectUris: redirect_uris,
          responseTypes: response_types,
          metadata,
        });
        reply.headers({ 'Cache-Control': 'no-store', Pragma: 'no-cache' });
        return reply
          .code(201)
          .send({ ...presentClient(client), ...(secret === undefined ? {} : { client_secret: secret }) });
      },
    );
  };
}

function scopesFor(given: string | undefined, grants: readonly string[]): string[] {
  if (given === undefined) return allowed.filter((one) => one !== 'offline_access' || grants.includes('refresh_token'));
  const scopes = given.split(' ').filter((one) => one !== '');
  const refused = scopes.find((one) => !allowed.includes(one));
  if (refused !== undefined) {
    throw new OAuthError(
      'invalid_client_metadata',
      `A client that registers itself has scopes of: ${allowed.join(' ')}.`,
    );
  }
  return scopes;
}

/** RFC 7591 §3.2.2. Who may not register is told as everywhere (RFC 6750). */
function sendRegistrationError(error: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
  if (error instanceof OAuthError) return sendOAuthError(error, request, reply);
  const problem = toPosternError(error);
  if (problem.status !== 400) return sendProblem(error, request, reply);
  const [fault] = problem.details.errors ?? [];
  const code = fault?.path.startsWith('redirect_uris') ? 'invalid_redirect_uri' : 'invalid_client_metadata';
  const detail = fault ? `${fault.path}: ${fault.message}` : (problem.details.detail ?? problem.title);
  return sendOAuthError(new OAuthError(code, detail), request, reply);
}
