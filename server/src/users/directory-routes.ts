/** `/users`: reading and deleting, by a credential with the scope or by the users themselves. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { basicCredential, type Caller, hasScope, isOneself, requireScope } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { namedTenant } from '../tenants/tenants.ts';
import { checkPassword, toLoginName } from './check-password.ts';
import { findNamedUser, listUsers } from './create-user.ts';
import { deleteUser } from './delete-user.ts';
import { invalidCredentials, userNotFound } from './errors.ts';
import type { UserWorld } from './routes.ts';
import { UserAnswer } from './schemas.ts';
import { findUserByEmail } from './store.ts';
import { isAdministrator, presentUser, readEmail, type User } from './user.ts';
import { basicChallenge } from './verify-email.ts';

const Named = {
  email: Type.Optional(Type.String({ maxLength: 320 })),
  server: Type.Optional(Type.String({ description: "The tenant; it has to be the credential's own" })),
};
const security = [{ bearer: [] }, { basic: [] }];

const ListQuery = Type.Object(
  {
    ...Named,
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'Id of the last user of the page before' })),
  },
  { additionalProperties: false },
);
const UserList = Type.Object({ data: Type.Array(UserAnswer), has_more: Type.Boolean() });

export function directoryRoutes(world: UserWorld): Routes {
  return (app) => {
    app.get(
      '/users',
      {
        schema: {
          tags: ['Users'],
          summary: 'One user by e-mail address; without it the list',
          description: "Needs the scope `users:read`, or one's own credential for oneself.",
          security,
          querystring: ListQuery,
          response: { 200: Type.Union([UserAnswer, UserList]) },
        },
      },
      async (request) => {
        const { email, server, limit = 20, after } = request.query;
        const caller = await identify(world, request, server);
        const slug = await slugWithin(world, caller, server);
        if (email !== undefined) return presentUser(await oneUser(world, caller, email, 'users:read'), slug);
        requireScope(caller, 'users:read');
        const page = await listUsers(world.db, caller.tenantId, { limit, ...(after === undefined ? {} : { after }) });
        const list: Type.Static<typeof UserList> = {
          data: page.users.map((user) => presentUser(user, slug)),
          has_more: page.hasMore,
        };
        return list;
      },
    );

    app.delete(
      '/users',
      {
        schema: {
          tags: ['Users'],
          summary: 'Delete a user by e-mail address',
          description: "Needs the scope `users:write`, or one's own credential for oneself.",
          security,
          querystring: Type.Object(Named, { additionalProperties: false }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { email, server } = request.query;
        const caller = await identify(world, request, server);
        if (email === undefined) {
          throw invalidRequest({
            detail: 'In the query: email is required.',
            errors: [{ path: 'email', message: 'is required' }],
          });
        }
        await slugWithin(world, caller, server);
        await deleteAs(world, caller, await oneUser(world, caller, email, 'users:write'));
        return reply.code(204).send(null);
      },
    );

    app.delete(
      '/users/:uuid',
      {
        schema: {
          tags: ['Users'],
          summary: 'Delete a user',
          description: "Needs the scope `users:write`, or one's own credential for oneself.",
          security,
          params: Type.Object({ uuid: Type.String() }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const id = request.params.uuid.toLowerCase();
        const caller = await identify(world, request, undefined);
        if (!isOneself(caller, id)) requireScope(caller, 'users:write');
        await deleteAs(world, caller, await findNamedUser(world.db, caller.tenantId, id));
        return reply.code(204).send(null);
      },
    );
  };
}

/** Who may write users is not thereby above those who hold every right. */
async function deleteAs(world: UserWorld, caller: Caller, user: User): Promise<void> {
  if (!isOneself(caller, user.id) && isAdministrator(user)) requireScope(caller, 'admin');
  await deleteUser(world, user, caller.name);
}

/** Whoever calls: by Bearer, or by Basic with their own e-mail address (or username) and password. */
async function identify(world: UserWorld, request: FastifyRequest, server: string | undefined): Promise<Caller> {
  const basic = basicCredential(request.headers.authorization);
  if (!basic) return world.authenticate(request);
  const slug = namedTenant(request.headers['postern-tenant'], server);
  const tenant = slug === undefined ? await world.resolveTenant(undefined) : await world.findTenant(slug);
  const name = toLoginName(basic.user);
  const user = await checkPassword(world, { tenantId: tenant?.id, name, password: basic.password, ip: request.ip });
  if (!user || (world.registration === 'private' && user.emailVerifiedAt === null)) {
    throw invalidCredentials({ headers: basicChallenge });
  }
  if (user.hasSecondFactor) {
    throw invalidCredentials({ detail: 'This account has a second factor, which Basic cannot carry. Log in.' });
  }
  const { id, tenantId, rights } = user;
  return { kind: 'user', id, name: `user:${id}`, tenantId, scopes: new Set(rights.scopes) };
}

/** @throws userNotFound where the query names another tenant than the credential's: nobody is there (S41) */
async function slugWithin(world: UserWorld, caller: Caller, server: string | undefined): Promise<string> {
  const slug = await world.tenantSlug(caller.tenantId);
  if (server !== undefined && server.toLowerCase() !== slug) throw userNotFound();
  return slug;
}

/** Oneself, or anybody with the scope; without it all others look the same, whether they exist or not. */
async function oneUser(world: UserWorld, caller: Caller, email: string, scope: string): Promise<User> {
  const { emailNormalized } = readEmail(email);
  const user = await findUserByEmail(world.db, caller.tenantId, emailNormalized);
  if (!isOneself(caller, user?.id) && !hasScope(caller, scope)) requireScope(caller, scope);
  if (!user) throw userNotFound();
  return user;
}
