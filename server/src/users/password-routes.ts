/** `/auth/password`: changing it, and setting a new one where it was forgotten. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { inEvenTime } from '../challenges/even-time.ts';
import { GivenPassword, NewPassword } from '../crypto/schemas.ts';
import { callerOf } from '../http/caller.ts';
import { wantsPage } from '../http/link-pages.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant } from '../tenants/tenants.ts';
import { changePassword } from './change-password.ts';
import { forgotPassword, resetByCode, resetByLink } from './reset-password.ts';
import type { UserWorld } from './routes.ts';
import { AddressBody } from './schemas.ts';
import { readEmail, userCaller } from './user.ts';

const ResetBody = Type.Object(
  {
    token: Type.Optional(Type.String({ maxLength: 256, description: "From the letter's link" })),
    email: Type.Optional(Type.String({ maxLength: 320 })),
    code: Type.Optional(Type.String({ maxLength: 32, description: 'From the letter; with email' })),
    password: NewPassword,
    server: Type.Optional(Type.String({ description: 'The tenant, with a code' })),
  },
  { additionalProperties: false },
);

export function passwordRoutes(world: UserWorld): Routes {
  return (app) => {
    app.post(
      '/auth/password/forgot',
      {
        schema: {
          tags: ['Users'],
          summary: 'Ask for a letter to set a new password; the answer is the same for every address',
          headers: TenantHeaders,
          body: AddressBody,
          response: { 202: Type.Object({ message: Type.String() }) },
        },
      },
      async (request, reply) => {
        const { email, server } = request.body;
        const { emailNormalized } = readEmail(email);
        const { id: tenantId } = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
        await inEvenTime(() =>
          forgotPassword(inLanguagesOf(request, world), { tenantId, emailNormalized, ip: request.ip }),
        );
        return reply.code(202).send({ message: 'If this address has an account, a letter is on its way.' });
      },
    );

    app.get(
      '/auth/password/reset',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Users'],
          summary: 'The page that the link of such a letter opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      async (request, reply) =>
        world.linkPages.password(request, reply, { about: 'reset', token: request.query.token }),
    );

    app.post(
      '/auth/password/reset',
      {
        errorHandler: world.linkPages.passwordFault('reset'),
        schema: {
          tags: ['Users'],
          summary: 'Set a new password by link token, or by e-mail address and code',
          description: 'Every session of the user ends, and the address counts as verified.',
          consumes: ['application/json', 'application/x-www-form-urlencoded'],
          headers: TenantHeaders,
          body: ResetBody,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await reset(world, request, request.body);
        if (wantsPage(request)) return world.linkPages.outcome(request, reply, 'passwordSet');
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/auth/password/change',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Users'],
          summary: 'Change the password; every other session ends',
          security: [{ bearer: [] }],
          body: Type.Object(
            { current_password: GivenPassword, new_password: NewPassword },
            { additionalProperties: false },
          ),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { current_password: current, new_password: next } = request.body;
        await changePassword(inLanguagesOf(request, world), userCaller(callerOf(request)), {
          current,
          next,
          ip: request.ip,
        });
        return reply.code(204).send(null);
      },
    );
  };
}

async function reset(
  world: UserWorld,
  request: FastifyRequest,
  { token, email, code, password, server }: Type.Static<typeof ResetBody>,
): Promise<void> {
  const inLanguages = inLanguagesOf(request, world);
  if (token !== undefined && email === undefined && code === undefined) {
    return resetByLink(inLanguages, { token, password });
  }
  if (token !== undefined || email === undefined || code === undefined) {
    throw invalidRequest({ detail: 'Send either token, or email and code.' });
  }
  const { id: tenantId } = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
  return resetByCode(inLanguages, { tenantId, email, code, password, ip: request.ip });
}
