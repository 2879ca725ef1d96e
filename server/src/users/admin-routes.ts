/** `/users/{uuid}`: what administrators do about one user. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import { type Caller, callerOf, type Needs, requireScope } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { findNamedUser } from './create-user.ts';
import { type DisableWorld, disableUser, enableUser } from './disable-user.ts';
import { userNotFound } from './errors.ts';
import { UserAnswer } from './schemas.ts';
import { markVerified } from './store.ts';
import { isAdministrator, presentUser, type User } from './user.ts';
import type { ForgetUser } from './who-am-i.ts';

export interface AdminWorld extends DisableWorld {
  db: Database;
  needs: Needs;
  forgetUser: ForgetUser;
  tenantSlug: TenantDirectory['tenantSlug'];
}

const UserInFull = Type.Object({
  ...UserAnswer.properties,
  scopes: Type.Array(Type.String(), { description: 'Their own, beyond those of every session and of their roles' }),
  roles: Type.Array(Type.String()),
  disabled_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
});

const security = [{ bearer: [] }];
const params = Type.Object({ uuid: Type.String() });

export function adminRoutes(world: AdminWorld): Routes {
  const present = async (user: User) => ({
    ...presentUser(user, await world.tenantSlug(user.tenantId)),
    scopes: user.scopes,
    roles: user.rights.roles,
    disabled_at: user.disabledAt?.toISOString() ?? null,
  });
  return (app) => {
    app.get(
      '/users/:uuid',
      {
        onRequest: world.needs('users:read'),
        schema: {
          tags: ['Users'],
          summary: 'One user, with what only administrators see',
          security,
          params,
          response: { 200: UserInFull },
        },
      },
      async (request) => present(await findNamedUser(world.db, callerOf(request).tenantId, request.params.uuid)),
    );

    for (const [name, summary, act] of actions) {
      app.post(
        `/users/:uuid/${name}`,
        {
          onRequest: world.needs('users:write'),
          schema: { tags: ['Users'], summary, security, params, response: { 200: Type.Object({ user: UserInFull }) } },
        },
        async (request: FastifyRequest<{ Params: { uuid: string } }>) => {
          const caller = callerOf(request);
          const user = await findNamedUser(world.db, caller.tenantId, request.params.uuid);
          if (isAdministrator(user)) requireScope(caller, 'admin');
          return { user: await present(await act(world, user, caller)) };
        },
      );
    }
  };
}

type Action = (world: AdminWorld, user: User, caller: Caller) => Promise<User>;

const actions: [name: string, summary: string, Action][] = [
  [
    'disable',
    'Keep a user out: sessions, codes and links end within a second, and mail of theirs that waits is canceled',
    (world, user, { name }) => disableUser(world, user, name),
  ],
  ['enable', 'Let a user in again', (world, user, { name }) => enableUser(world, user, name)],
  ['verify', "Take a user's e-mail address as verified", (world, user, { name }) => verify(world, user, name)],
];

async function verify(
  { db, forgetUser }: AdminWorld,
  { id, tenantId, emailNormalized }: User,
  actor: string,
): Promise<User> {
  if (emailNormalized === null) throw invalidRequest({ detail: 'This user has no e-mail address.' });
  const verified = await db.begin(async (tx) => {
    const user = await markVerified(tx, id, emailNormalized);
    if (!user) throw userNotFound();
    await recordAudit(tx, { tenantId, type: 'user.verified', userId: id, actor });
    return user;
  });
  await forgetUser(id);
  return verified;
}
