/** `/tenant`: the caller's own tenant. */
import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { findUserScopes } from './store.ts';
import type { TenantDirectory } from './tenants.ts';
import { readUserScopes, setUserScopes, type UserScopesWorld, usualScopes } from './user-scopes.ts';

interface World extends UserScopesWorld {
  needs: Needs;
  tenantSlug: TenantDirectory['tenantSlug'];
}

const tags = ['Tenant'];
const security = [{ bearer: [] }];
const UserScopes = Type.Array(Type.Unsafe<string>({ type: 'string', enum: usualScopes }), {
  maxItems: usualScopes.length,
  description: "What users' own sessions may do, beside what users and their roles have",
});
const Answer = Type.Object({ server: Type.String({ description: "The tenant's name" }), user_scopes: UserScopes });

export function tenantRoutes(world: World): Routes {
  const onRequest = world.needs('admin');
  const shown = async (tenantId: string) => ({
    server: await world.tenantSlug(tenantId),
    user_scopes: (await findUserScopes(world.db, tenantId)) ?? [...usualScopes],
  });
  return (app) => {
    app.get(
      '/tenant',
      { onRequest, schema: { tags, summary: "The caller's tenant", security, response: { 200: Answer } } },
      async (request) => shown(callerOf(request).tenantId),
    );

    app.patch(
      '/tenant',
      {
        onRequest,
        schema: {
          tags,
          summary: "Narrow what users' own sessions may do",
          description:
            'Access tokens made before are dead within a second; the next ones of their sessions have the new.',
          security,
          body: Type.Object({ user_scopes: UserScopes }, { additionalProperties: false }),
          response: { 200: Answer },
        },
      },
      async (request) => {
        const { tenantId, name: actor } = callerOf(request);
        await setUserScopes(world, { tenantId, actor }, readUserScopes(request.body.user_scopes));
        return shown(tenantId);
      },
    );
  };
}
