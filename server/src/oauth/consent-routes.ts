/** What users have let clients do: seen, and taken back. */
import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { userCaller } from '../users/user.ts';
import { consentNotFound } from './errors.ts';
import type { FindClient } from './find-client.ts';
import { apisOf, consentsOf } from './grant-store.ts';
import { type GrantWorld, withdrawConsent } from './grants.ts';

export interface ConsentWorld extends GrantWorld {
  needs: Needs;
  findClient: FindClient;
}

const Consent = Type.Object({
  client_id: Type.String(),
  client_name: Type.Union([Type.String(), Type.Null()]),
  client_uri: Type.Union([Type.String(), Type.Null()]),
  scope: Type.String(),
  claims: Type.Array(Type.String()),
  resources: Type.Array(Type.String()),
  given_at: Type.String({ format: 'date-time' }),
});
const tags = ['OAuth'];
const security = [{ bearer: [] }];

export function consentRoutes(world: ConsentWorld): Routes {
  return (app) => {
    app.get(
      '/auth/consents',
      {
        onRequest: world.needs(),
        schema: {
          tags,
          summary: 'The applications that the user has let in',
          security,
          response: { 200: Type.Object({ data: Type.Array(Consent) }) },
        },
      },
      async (request) => {
        const caller = userCaller(callerOf(request));
        const consents = await consentsOf(world.db, caller.id);
        return {
          data: consents.map(({ clientId, clientName, clientUri, scopes, claims, resources, givenAt }) => ({
            client_id: clientId,
            client_name: clientName,
            client_uri: clientUri,
            scope: scopes.join(' '),
            claims,
            resources: apisOf({ resources }),
            given_at: givenAt.toISOString(),
          })),
        };
      },
    );

    app.delete(
      '/auth/consents/:client_id',
      {
        onRequest: world.needs(),
        schema: {
          tags,
          summary: 'Take back what an application was allowed: its tokens are dead on every node within a second',
          security,
          params: Type.Object({ client_id: Type.String({ maxLength: 128 }) }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const caller = userCaller(callerOf(request));
        const client = await world.findClient(request.params.client_id);
        if (client?.tenantId !== caller.tenantId) throw consentNotFound();
        await withdrawConsent(world, { userId: caller.id, client });
        return reply.code(204).send(null);
      },
    );
  };
}
