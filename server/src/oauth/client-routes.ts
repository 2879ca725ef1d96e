/** `/clients`: the OAuth clients of a tenant. What they do with their credentials stands at `/oauth`. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { noBodyIsEmpty } from '../http/validate.ts';
import type { Revocations } from '../sessions/revocations.ts';
import {
  ById,
  ClientAnswer,
  ClientPatch,
  ClientWithSecretAnswer,
  ListQuery,
  NewClientBody,
  RotateAnswer,
  RotateBody,
} from './client-schemas.ts';
import {
  type ClientWithSecret,
  createClient,
  deleteClient,
  readClient,
  rotateClientSecret,
  updateClient,
} from './manage-clients.ts';
import { presentClient } from './present-client.ts';
import { clientsPage } from './store.ts';

export interface ClientWorld {
  db: Database;
  secrets: Secrets;
  needs: Needs;
  revoke: Revocations['revoke'];
}

const tags = ['OAuth'];
const who = 'Needs the scope `admin`.';

export function clientRoutes(world: ClientWorld): Routes {
  const onRequest = [world.needs('admin')];
  return (app) => {
    app.get(
      '/clients',
      {
        onRequest,
        schema: {
          tags,
          summary: 'The OAuth clients of the tenant, by client_id',
          description: who,
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(ClientAnswer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const found = await clientsPage(world.db, callerOf(request).tenantId, page);
        return { data: found.slice(0, limit).map(presentClient), has_more: found.length > limit };
      },
    );

    app.post(
      '/clients',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Make an OAuth client',
          description: `In the words of RFC 7591. The secret is shown this once. ${who}`,
          body: NewClientBody,
          response: { 201: ClientWithSecretAnswer },
        },
      },
      async (request, reply) => {
        const { client_id, scope, grant_types, redirect_uris, response_types, ...metadata } = request.body;
        const { tenantId, name: actor } = callerOf(request);
        const made = await createClient(world, {
          tenantId,
          actor,
          clientId: client_id,
          scopes: scopesIn(scope),
          grants: grant_types,
          redirectUris: redirect_uris,
          responseTypes: response_types,
          metadata,
        });
        reply.header('Location', `/clients/${encodeURIComponent(made.client.clientId)}`);
        return reply.code(201).send(presentWithSecret(made));
      },
    );

    app.get(
      '/clients/:client_id',
      {
        onRequest,
        schema: { tags, summary: 'An OAuth client', description: who, params: ById, response: { 200: ClientAnswer } },
      },
      async (request) => presentClient(await readClient(world, namedBy(request))),
    );

    app.patch(
      '/clients/:client_id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Change an OAuth client',
          description:
            'Only what is given changes, as a whole; null takes it away. Tokens that are out live on to their end. A ' +
            `change to a \`token_endpoint_auth_method\` with a secret gives one, which is shown this once. ${who}`,
          params: ById,
          body: ClientPatch,
          response: { 200: ClientWithSecretAnswer },
        },
      },
      async (request) => {
        const { scope, grant_types, redirect_uris, response_types, ...metadata } = request.body;
        const changed = await updateClient(world, namedBy(request), {
          scopes: scope === undefined ? undefined : scopesIn(scope),
          grants: grant_types,
          redirectUris: redirect_uris === null ? [] : redirect_uris,
          responseTypes: response_types,
          metadata,
        });
        return presentWithSecret(changed);
      },
    );

    app.post(
      '/clients/:client_id/secret',
      {
        onRequest,
        preValidation: noBodyIsEmpty,
        schema: {
          tags,
          summary: 'Give an OAuth client another secret',
          description: `The former one is dead within a second, or good for \`overlap_seconds\` more. ${who}`,
          params: ById,
          body: RotateBody,
          response: { 200: RotateAnswer },
        },
      },
      async (request) => {
        const { overlap_seconds: overlapSeconds = 0 } = request.body;
        const rotated = await rotateClientSecret(world, { ...namedBy(request), overlapSeconds });
        const { clientId: client_id, secret: client_secret, formerSecretUntil: until } = rotated;
        return { client_id, client_secret, ...(until === null ? {} : { former_secret_until: until.toISOString() }) };
      },
    );

    app.delete(
      '/clients/:client_id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Delete an OAuth client; within a second its tokens are dead',
          description: who,
          params: ById,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await deleteClient(world, namedBy(request));
        return reply.code(204).send(null);
      },
    );
  };
}

function namedBy(request: FastifyRequest<{ Params: { client_id: string } }>) {
  const { tenantId, name: actor } = callerOf(request);
  return { clientId: request.params.client_id, tenantId, actor };
}

/** Whether each is one is asked with the other rules. */
function scopesIn(scope: string): string[] {
  return scope.split(' ').filter((word) => word !== '');
}

function presentWithSecret({ client, secret }: ClientWithSecret) {
  return { ...presentClient(client), ...(secret === undefined ? {} : { client_secret: secret }) };
}
