/** `/roles`: the roles of a tenant. Who has which stands at `/users/{uuid}/roles`. */
import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { deleteRole, putRole, type RoleWorld } from './manage-roles.ts';
import { maxScopeCharacters, type Role, rolePattern, scopePattern } from './role.ts';
import { rolesPage } from './store.ts';

const closed = { additionalProperties: false } as const;
const tags = ['Roles'];
const security = [{ bearer: [] }];
const params = Type.Object({ name: Type.String({ pattern: rolePattern }) });

export const RoleAnswer = Type.Object({
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  description: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String({ format: 'date-time' }),
  updated_at: Type.String({ format: 'date-time' }),
});

const NewRole = Type.Object(
  {
    scopes: Type.Array(Type.String({ pattern: scopePattern }), {
      maxItems: maxScopeCharacters / 2,
      description:
        '`basic`, `email`, `users:read`, `users:write`, `mail:admin`, `admin`, or names of your own, which Postern ' +
        `carries in tokens and asks for nowhere; at most ${maxScopeCharacters} characters together`,
    }),
    description: Type.Optional(Type.String({ maxLength: 500, pattern: '^[^\\u0000]*$' })),
  },
  closed,
);

const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(
      Type.String({ pattern: rolePattern, description: 'Name of the last role of the page before' }),
    ),
  },
  closed,
);

export function roleRoutes(world: RoleWorld & { needs: Needs }): Routes {
  return (app) => {
    app.get(
      '/roles',
      {
        onRequest: world.needs('users:read'),
        schema: {
          tags,
          summary: 'The roles of the tenant, by name',
          security,
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(RoleAnswer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const found = await rolesPage(world.db, callerOf(request).tenantId, page);
        return { data: found.slice(0, limit).map(presentRole), has_more: found.length > limit };
      },
    );

    app.put(
      '/roles/:name',
      {
        // Whoever has it holds every scope, so nobody gives more than they have.
        onRequest: world.needs('admin'),
        schema: {
          tags,
          summary: 'Make a role, or replace its scopes and description',
          description:
            'Access tokens made of other scopes are dead within a second; the next ones of their sessions have the new.',
          security,
          params,
          body: NewRole,
          response: { 200: RoleAnswer, 201: RoleAnswer },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const { role, isNew } = await putRole(world, { tenantId, name: request.params.name, actor }, request.body);
        return reply.code(isNew ? 201 : 200).send(presentRole(role));
      },
    );

    app.delete(
      '/roles/:name',
      {
        onRequest: world.needs('admin'),
        schema: {
          tags,
          summary: 'Delete a role; within a second nobody has it any more',
          security,
          params,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        await deleteRole(world, { tenantId, name: request.params.name, actor });
        return reply.code(204).send(null);
      },
    );
  };
}

export function presentRole({ name, scopes, description, createdAt, updatedAt }: Role): Type.Static<typeof RoleAnswer> {
  return {
    name,
    scopes,
    description,
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}
