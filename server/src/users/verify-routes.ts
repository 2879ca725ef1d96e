/** `/auth/verify`: by code over HTTP Basic, by the link's token, and the page that the link opens. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { inEvenTime } from '../challenges/even-time.ts';
import { basicCredential } from '../http/caller.ts';
import { wantsPage } from '../http/link-pages.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant } from '../tenants/tenants.ts';
import { toLoginName } from './check-password.ts';
import { invalidCredentials } from './errors.ts';
import type { UserWorld } from './routes.ts';
import { AddressBody, UserAnswer } from './schemas.ts';
import { presentUser, readEmail, type User } from './user.ts';
import { basicChallenge, resendVerification, verifyByCode, verifyByLink } from './verify-email.ts';

const VerifyBody = Type.Object(
  {
    code: Type.Optional(
      Type.String({ maxLength: 32, description: 'From the letter; with HTTP Basic `email:password`' }),
    ),
    token: Type.Optional(Type.String({ maxLength: 256, description: "From the letter's link; needs no credential" })),
    server: Type.Optional(Type.String({ description: 'The tenant, with a code' })),
  },
  { additionalProperties: false },
);

export function verifyRoutes(world: UserWorld): Routes {
  return (app) => {
    app.get(
      '/auth/verify',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Users'],
          summary: 'The page a verification link opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      async (request, reply) => {
        const { token } = request.query;
        return world.linkPages.button(request, reply, { about: 'verify', action: '/auth/verify', token });
      },
    );

    app.post(
      '/auth/verify',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Users'],
          summary: 'Verify the e-mail address by code (with HTTP Basic) or by link token',
          security: [{ basic: [] }, {}],
          consumes: ['application/json', 'application/x-www-form-urlencoded'],
          headers: TenantHeaders,
          body: VerifyBody,
          response: { 200: Type.Object({ user: UserAnswer }) },
        },
      },
      async (request, reply) => {
        const user = await verify(world, request, request.body);
        if (wantsPage(request)) return world.linkPages.outcome(request, reply, 'verified');
        return { user: presentUser(user, await world.tenantSlug(user.tenantId)) };
      },
    );

    app.post(
      '/auth/verify/resend',
      {
        schema: {
          tags: ['Users'],
          summary: 'Ask for a new letter; the answer is the same for every address',
          headers: TenantHeaders,
          body: AddressBody,
          response: { 202: Type.Object({ message: Type.String() }) },
        },
      },
      async (request, reply) => {
        const { email, server } = request.body;
        const { emailNormalized } = readEmail(email);
        const tenant = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
        await inEvenTime(() =>
          resendVerification(inLanguagesOf(request, world), tenant.id, emailNormalized, request.ip),
        );
        return reply.code(202).send({ message: 'If this address waits to be verified, a letter is on its way.' });
      },
    );
  };
}

async function verify(
  world: UserWorld,
  request: FastifyRequest,
  { code, token, server }: Type.Static<typeof VerifyBody>,
): Promise<User> {
  if ((code === undefined) === (token === undefined)) {
    throw invalidRequest({ detail: 'Send either code, with HTTP Basic, or token.' });
  }
  if (token !== undefined) return verifyByLink(world, token);
  const basic = basicCredential(request.headers.authorization);
  if (!basic) {
    throw invalidCredentials({ detail: 'A code needs HTTP Basic with e-mail and password.', headers: basicChallenge });
  }
  const slug = namedTenant(request.headers['postern-tenant'], server);
  const tenant = slug === undefined ? await world.resolveTenant(undefined) : await world.findTenant(slug);
  const { user, password } = basic;
  return verifyByCode(world, {
    tenantId: tenant?.id,
    name: toLoginName(user),
    password,
    code: code ?? '',
    ip: request.ip,
  });
}
