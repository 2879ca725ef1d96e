/** `/users/{uuid}/roles`: which roles a user has, giving and taking them. */
import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { grantRoles, takeRole } from '../roles/grant-role.ts';
import type { RoleWorld } from '../roles/manage-roles.ts';
import { rolePattern } from '../roles/role.ts';
import { presentRole, RoleAnswer } from '../roles/routes.ts';
import { rolesOfUser } from '../roles/store.ts';
import { findNamedUser } from './create-user.ts';
import { userNotFound } from './errors.ts';
import { lockUser } from './store.ts';

const tags = ['Roles'];
const security = [{ bearer: [] }];
const params = Type.Object({ uuid: Type.String(), name: Type.String({ pattern: rolePattern }) });
const Granted = Type.Object({ ...RoleAnswer.properties, granted_at: Type.String({ format: 'date-time' }) });

export function userRoleRoutes(world: RoleWorld & { needs: Needs }): Routes {
  return (app) => {
    app.get(
      '/users/:uuid/roles',
      {
        onRequest: world.needs('users:read'),
        schema: {
          tags,
          summary: "A user's roles, by name; there are at most ten",
          security,
          params: Type.Object({ uuid: Type.String() }),
          response: { 200: Type.Object({ data: Type.Array(Granted), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { id } = await findNamedUser(world.db, callerOf(request).tenantId, request.params.uuid);
        const roles = await rolesOfUser(world.db, id);
        const present = (role: (typeof roles)[number]) => ({
          ...presentRole(role),
          granted_at: role.grantedAt.toISOString(),
        });
        return { data: roles.map(present), has_more: false };
      },
    );

    app.put(
      '/users/:uuid/roles/:name',
      {
        onRequest: world.needs('admin'),
        schema: {
          tags,
          summary: 'Give a user a role',
          description: 'It is in the tokens that are made next: at login, and when a session is refreshed.',
          security,
          params,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const { uuid, name } = request.params;
        const { id: userId } = await findNamedUser(world.db, tenantId, uuid);
        await world.db.begin(async (tx) => {
          if (!(await lockUser(tx, userId))) throw userNotFound();
          await grantRoles(tx, { userId, tenantId, actor }, [name]);
        });
        return reply.code(204).send(null);
      },
    );

    app.delete(
      '/users/:uuid/roles/:name',
      {
        onRequest: world.needs('admin'),
        schema: {
          tags,
          summary: 'Take a role away from a user; tokens made of it are dead within a second',
          security,
          params,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const { uuid, name } = request.params;
        const { id: userId } = await findNamedUser(world.db, tenantId, uuid);
        await takeRole(world, { userId, tenantId, actor }, name);
        return reply.code(204).send(null);
      },
    );
  };
}
