/** `/auth/invitation`: the page that the link of the letter opens, and accepting. */
import { Type } from 'typebox';
import { NewPassword, Token } from '../crypto/schemas.ts';
import type { Transaction } from '../database/database.ts';
import { type LinkPages, wantsPage } from '../http/link-pages.ts';
import type { Routes } from '../http/server.ts';
import type { Tenant, TenantDirectory } from '../tenants/tenants.ts';
import { Name, UserAnswer } from '../users/schemas.ts';
import { type Origin, originOf, presentUser, type User } from '../users/user.ts';
import { type AcceptWorld, acceptInvitation } from './accept.ts';

export interface AcceptRoutesWorld extends AcceptWorld {
  tenantSlug: TenantDirectory['tenantSlug'];
  linkPages: LinkPages;
  /** Logs a user in, in the caller's transaction. */
  openSession: (tx: Transaction, login: { user: User; tenant: Tenant; origin: Origin }) => Promise<Token>;
}

const AcceptBody = Type.Object(
  {
    token: Type.String({ maxLength: 256, description: "From the letter's link" }),
    password: NewPassword,
    // A form sends the field that was left empty.
    name: Type.Optional(Type.String({ ...Name, minLength: 0 })),
  },
  { additionalProperties: false },
);

export function acceptRoutes(world: AcceptRoutesWorld): Routes {
  return (app) => {
    app.get(
      '/auth/invitation',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Invitations'],
          summary: 'The page that the link of an invitation opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      async (request, reply) =>
        world.linkPages.password(request, reply, { about: 'invitation', token: request.query.token }),
    );

    app.post(
      '/auth/invitation',
      {
        errorHandler: world.linkPages.passwordFault('invitation'),
        schema: {
          tags: ['Invitations'],
          summary: 'Accept an invitation: the account is made, its address verified, and logged in',
          description: 'A form gets a page and no tokens.',
          consumes: ['application/json', 'application/x-www-form-urlencoded'],
          body: AcceptBody,
          response: { 200: Type.Object({ user: UserAnswer, token: Token }) },
        },
      },
      async (request, reply) => {
        const { token, password, name } = request.body;
        const origin = originOf(request);
        const acceptance = { token, password, name: name === '' ? undefined : name, ip: origin.ip };
        if (wantsPage(request)) {
          await acceptInvitation(world, acceptance, async () => {});
          return world.linkPages.outcome(request, reply, 'accountMade');
        }
        const { user, opened } = await acceptInvitation(world, acceptance, async (tx, made) => {
          const slug = await world.tenantSlug(made.tenantId);
          return {
            slug,
            token: await world.openSession(tx, { user: made, tenant: { id: made.tenantId, slug }, origin }),
          };
        });
        return { user: presentUser(user, opened.slug), token: opened.token };
      },
    );
  };
}
