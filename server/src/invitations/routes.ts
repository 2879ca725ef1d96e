/** `/invitations`: what administrators do about them. `accept-routes.ts` is what the invited meet. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Transaction } from '../database/database.ts';
import { callerOf, type Needs, requireScope } from '../http/caller.ts';
import { answerOnce, IdempotencyHeaders } from '../http/idempotency.ts';
import type { Routes } from '../http/server.ts';
import { maxRolesOfUser, rolePattern } from '../roles/role.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { namedTenant, type TenantDirectory, tenantOfCaller } from '../tenants/tenants.ts';
import { Email, Name } from '../users/schemas.ts';
import { readEmail } from '../users/user.ts';
import { type AcceptRoutesWorld, acceptRoutes } from './accept-routes.ts';
import { type Invitation, InvitationAnswer, presentInvitation } from './invitation.ts';
import { type InviteWorld, invite, resendInvitation, revokeInvitation } from './invite.ts';
import { invitationsPage } from './store.ts';

export interface InvitationWorld extends InviteWorld, AcceptRoutesWorld {
  needs: Needs;
  tenantSlug: TenantDirectory['tenantSlug'];
  wakeWorkers: () => void;
}

const closed = { additionalProperties: false } as const;
const tags = ['Invitations'];
const security = [{ bearer: [] }];
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const Answer = Type.Object({ invitation: InvitationAnswer });

const NewInvitation = Type.Object(
  {
    email: Email,
    name: Type.Optional(Name),
    roles: Type.Optional(
      Type.Array(Type.String({ pattern: rolePattern }), {
        maxItems: maxRolesOfUser,
        uniqueItems: true,
        description: 'What whoever accepts is to have; needs the scope `admin`, as giving roles does',
      }),
    ),
    server: Type.Optional(Type.String({ description: "The tenant; it has to be the credential's own" })),
  },
  closed,
);

const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'Id of the last invitation of the page before' })),
  },
  closed,
);

export function invitationRoutes(world: InvitationWorld): Routes {
  return (app) => {
    app.post(
      '/invitations',
      {
        onRequest: world.needs('users:write'),
        schema: {
          tags,
          summary: 'Invite somebody to have an account, whatever REGISTRATION says',
          description: 'A letter goes to the address, with a link that is good for INVITATION_SECONDS.',
          security,
          headers: Type.Object({
            ...IdempotencyHeaders.properties,
            'postern-tenant': Type.Optional(Type.String({ description: "The tenant; the credential's own" })),
          }),
          body: NewInvitation,
          response: { 201: Answer },
        },
      },
      async (request, reply) => {
        const { email, name, roles = [], server } = request.body;
        const caller = callerOf(request);
        if (roles.length > 0) requireScope(caller, 'admin');
        const named = namedTenant(request.headers['postern-tenant'], server);
        const { id: tenantId } = await tenantOfCaller(world, caller, named);
        const invited = { ...readEmail(email), tenantId, name, roles, invitedBy: caller.name };
        const work = (tx: Transaction) => invite(inLanguagesOf(request, world), tx, invited);
        return answerWithLetter(world, request, reply, 201, work);
      },
    );

    app.get(
      '/invitations',
      {
        onRequest: world.needs('users:read'),
        schema: {
          tags,
          summary: 'The invitations of the tenant, newest first',
          description: 'Those that nobody took up are listed until a month after their end.',
          security,
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(InvitationAnswer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const found = await invitationsPage(world.db, callerOf(request).tenantId, page);
        return { data: found.slice(0, limit).map(presentInvitation), has_more: found.length > limit };
      },
    );

    app.delete(
      '/invitations/:id',
      {
        onRequest: world.needs('users:write'),
        schema: {
          tags,
          summary: 'Take an invitation back; its link is dead at once',
          security,
          params: ById,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        await revokeInvitation(world, { tenantId, id: request.params.id, actor });
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/invitations/:id/resend',
      {
        onRequest: world.needs('users:write'),
        schema: {
          tags,
          summary: 'Send the letter again, with a new link; the old one is dead',
          security,
          headers: IdempotencyHeaders,
          params: ById,
          response: { 200: Answer },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const { id } = request.params;
        const work = (tx: Transaction) => resendInvitation(inLanguagesOf(request, world), tx, { tenantId, id, actor });
        return answerWithLetter(world, request, reply, 200, work, `POST /invitations/${id.toLowerCase()}/resend`);
      },
    );

    acceptRoutes(world)(app);
  };
}

async function answerWithLetter(
  world: InvitationWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  work: (tx: Transaction) => Promise<Invitation>,
  operation?: string,
) {
  const { tenantId } = callerOf(request);
  const answer = async (tx: Transaction) => ({ status, body: { invitation: presentInvitation(await work(tx)) } });
  await answerOnce(world, request, reply, tenantId, answer, operation === undefined ? {} : { operation });
  world.wakeWorkers();
  return reply;
}
