/** `/users/{uuid}/sessions`: what administrators see of a user's sessions, and ending them. */
import { Type } from 'typebox';
import { recordAudit } from '../audit/record.ts';
import type { Database, Transaction } from '../database/database.ts';
import { callerOf, type Needs, requireScope } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { findNamedUser } from '../users/create-user.ts';
import { isAdministrator } from '../users/user.ts';
import { presentSession, SessionList, SessionPage } from './present-session.ts';
import { liveSessions } from './store.ts';

interface World {
  db: Database;
  needs: Needs;
  endSessions: (tx: Transaction, userId: string) => Promise<() => void>;
}

const security = [{ bearer: [] }];
const params = Type.Object({ uuid: Type.String() });

export function sessionAdminRoutes(world: World): Routes {
  const { db } = world;
  return (app) => {
    app.get(
      '/users/:uuid/sessions',
      {
        onRequest: world.needs('users:read'),
        schema: {
          tags: ['Sessions'],
          summary: "A user's live sessions, newest first",
          security,
          params,
          querystring: SessionPage,
          response: { 200: SessionList },
        },
      },
      async (request) => {
        const { id } = await findNamedUser(db, callerOf(request).tenantId, request.params.uuid);
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const sessions = await liveSessions(db, id, page);
        return {
          data: sessions.slice(0, limit).map((session) => presentSession(session)),
          has_more: sessions.length > limit,
        };
      },
    );

    app.delete(
      '/users/:uuid/sessions',
      {
        onRequest: world.needs('users:write'),
        schema: {
          tags: ['Sessions'],
          summary: 'End every session of a user; their tokens are dead within a second',
          security,
          params,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const user = await findNamedUser(db, caller.tenantId, request.params.uuid);
        if (isAdministrator(user)) requireScope(caller, 'admin');
        const { id: userId, tenantId } = user;
        const announce = await db.begin(async (tx) => {
          await recordAudit(tx, { tenantId, type: 'user.sessions_ended', actor: caller.name, userId });
          return world.endSessions(tx, userId);
        });
        announce();
        return reply.code(204).send(null);
      },
    );
  };
}
