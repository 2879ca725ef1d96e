import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { GivenPassword, Token } from '../crypto/schemas.ts';
import type { Transaction } from '../database/database.ts';
import { type Caller, callerOf, type Needs, refuseDelegated } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { noBodyIsEmpty } from '../http/validate.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant, type TenantDirectory } from '../tenants/tenants.ts';
import { usersOnly } from '../users/errors.ts';
import { UserAnswer } from '../users/schemas.ts';
import { originOf, presentUser } from '../users/user.ts';
import { sessionAdminRoutes } from './admin-routes.ts';
import { sessionNotFound } from './errors.ts';
import { type LoginWorld, login } from './login.ts';
import { deleteSession, logout } from './logout.ts';
import { type OtpWorld, otpRoutes } from './otp-routes.ts';
import { presentSession, SessionList, SessionPage } from './present-session.ts';
import { type RefreshWorld, refresh } from './refresh.ts';
import { type SecondFactorRoutesWorld, secondFactorLoginRoutes } from './second-factor-routes.ts';
import { liveSessions } from './store.ts';

export interface SessionWorld extends LoginWorld, RefreshWorld, OtpWorld, SecondFactorRoutesWorld {
  needs: Needs;
  resolveTenant: TenantDirectory['resolveTenant'];
  endSessions: (tx: Transaction, userId: string) => Promise<() => void>;
}

const security = [{ bearer: [] }];

export function sessionRoutes(world: SessionWorld): Routes {
  return (app) => {
    loginRoutes(world)(app);
    otpRoutes(world)(app);
    secondFactorLoginRoutes(world)(app);
    logoutRoutes(world)(app);
    listRoutes(world)(app);
    sessionAdminRoutes(world)(app);
  };
}

function loginRoutes(world: SessionWorld): Routes {
  return (app) => {
    for (const url of ['/auth/login', '/login']) {
      app.post(
        url,
        {
          schema: {
            tags: ['Sessions'],
            summary: 'Log in by e-mail address or username',
            headers: TenantHeaders,
            body: Type.Object(
              {
                email: Type.Optional(Type.String({ maxLength: 320 })),
                username: Type.Optional(Type.String({ maxLength: 320 })),
                password: GivenPassword,
                server: Type.Optional(Type.String({ description: 'The tenant' })),
              },
              { additionalProperties: false },
            ),
            response: { 200: Type.Object({ user: UserAnswer, token: Token }) },
          },
        },
        async (request) => {
          const { email, username, password, server } = request.body;
          if ((email === undefined) === (username === undefined)) {
            throw invalidRequest({ detail: 'Send email or username, one of them.' });
          }
          const tenant = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
          const name = email === undefined ? { username: username ?? '' } : { email };
          const { user, token } = await login(world, { tenant, name, password, origin: originOf(request) });
          return { user: presentUser(user, tenant.slug), token };
        },
      );
    }

    app.post(
      '/auth/refresh',
      {
        schema: {
          tags: ['Sessions'],
          summary: 'Trade the refresh token for the next pair',
          description:
            'The old refresh token dies. Used once more within 10 s it gets the current pair again; later, or an ' +
            'older one still, ends the session.',
          body: Type.Object({ refresh_token: Type.String({ maxLength: 256 }) }, { additionalProperties: false }),
          response: { 200: Type.Object({ token: Token }) },
        },
      },
      async (request) => ({ token: await refresh(world, request.body.refresh_token) }),
    );
  };
}

function logoutRoutes(world: SessionWorld): Routes {
  return (app) => {
    for (const url of ['/auth/logout', '/logout']) {
      app.post(
        url,
        {
          onRequest: world.needs(),
          preValidation: noBodyIsEmpty,
          schema: {
            tags: ['Sessions'],
            summary: 'Log out here, or everywhere',
            security,
            body: Type.Object({ everywhere: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
            response: { 204: Type.Null() },
          },
        },
        async (request, reply) => {
          await logout(world, userCaller(request), request.body.everywhere === true);
          return reply.code(204).send(null);
        },
      );
    }
  };
}

function listRoutes(world: SessionWorld): Routes {
  return (app) => {
    app.get(
      '/auth/sessions',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Sessions'],
          summary: "The user's live sessions, newest first",
          security,
          querystring: SessionPage,
          response: { 200: SessionList },
        },
      },
      async (request) => {
        const caller = userCaller(request);
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const sessions = await liveSessions(world.db, caller.id, page);
        const data = sessions.slice(0, limit).map((session) => presentSession(session, caller.sessionId));
        return { data, has_more: sessions.length > limit };
      },
    );

    app.delete(
      '/auth/sessions/:id',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Sessions'],
          summary: "End one of the user's sessions",
          security,
          params: Type.Object({ id: Type.String() }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) throw sessionNotFound();
        await deleteSession(world, userCaller(request), id.toLowerCase());
        return reply.code(204).send(null);
      },
    );
  };
}

function userCaller(request: FastifyRequest): Caller {
  const caller = callerOf(request);
  refuseDelegated(caller);
  if (caller.kind !== 'user') throw usersOnly({ detail: 'A client has no sessions; its tokens end by themselves.' });
  return caller;
}
