/** Everything about a user: for themselves, and for administrators whom they ask. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { findNamedUser, findUser } from './create-user.ts';
import { type ExportWorld, exportUser } from './export-user.ts';
import { type User, userCaller } from './user.ts';

export function exportRoutes(world: ExportWorld & { needs: Needs }): Routes {
  const send = (reply: FastifyReply, user: User) =>
    reply
      .type('application/json')
      .header('Content-Disposition', `attachment; filename="user-${user.id}.json"`)
      .send(Readable.from(exportUser(world, user)));
  const described = {
    tags: ['Users'],
    description:
      'The account, its sessions, the mail to its address, and its part of the audit log, as one JSON object.',
    security: [{ bearer: [] }],
    produces: ['application/json'],
  };
  return (app) => {
    app.get(
      '/auth/export',
      { onRequest: world.needs('basic'), schema: { ...described, summary: 'Everything that is known about me' } },
      async (request, reply) => {
        const { tenantId, id } = userCaller(callerOf(request));
        return send(reply, await findUser(world.db, tenantId, { id }));
      },
    );
    app.get(
      '/users/:uuid/export',
      {
        onRequest: world.needs('admin'),
        schema: {
          ...described,
          summary: 'Everything that is known about a user',
          params: Type.Object({ uuid: Type.String() }),
        },
      },
      async (request, reply) =>
        send(reply, await findNamedUser(world.db, callerOf(request).tenantId, request.params.uuid)),
    );
  };
}
