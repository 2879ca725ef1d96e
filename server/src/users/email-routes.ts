/** `/auth/email`: asking for another address, and confirming it by the codes or links of two letters. */
import { Type } from 'typebox';
import { GivenPassword } from '../crypto/schemas.ts';
import { type CredentialedRequest, callerOf, requireScope } from '../http/caller.ts';
import { wantsPage } from '../http/link-pages.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { requestEmailChange } from './change-email.ts';
import { confirmByCode, confirmByLink } from './confirm-email.ts';
import type { UserWorld } from './routes.ts';
import { userCaller } from './user.ts';

const ConfirmBody = Type.Object(
  {
    code: Type.Optional(Type.String({ maxLength: 32, description: "From either letter; with the user's session" })),
    token: Type.Optional(
      Type.String({ maxLength: 256, description: "From either letter's link; needs no credential" }),
    ),
  },
  { additionalProperties: false },
);

export function emailChangeRoutes(world: UserWorld): Routes {
  return (app) => {
    app.post(
      '/auth/email/change',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Users'],
          summary: 'Ask for another e-mail address; the answer is the same for every address',
          description:
            'A letter goes to the new address, and to the present one where it is verified. The address changes once ' +
            'each has confirmed.',
          security: [{ bearer: [] }],
          body: Type.Object(
            { email: Type.String({ maxLength: 320 }), password: GivenPassword },
            { additionalProperties: false },
          ),
          response: { 202: Type.Object({ message: Type.String() }) },
        },
      },
      async (request, reply) => {
        await requestEmailChange(inLanguagesOf(request, world), userCaller(callerOf(request)), {
          ...request.body,
          ip: request.ip,
        });
        return reply
          .code(202)
          .send({ message: 'Letters are on their way. The address changes once each is confirmed.' });
      },
    );

    app.get(
      '/auth/email/confirm',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Users'],
          summary: 'The page that the link of such a letter opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      async (request, reply) => {
        const { token } = request.query;
        return world.linkPages.button(request, reply, { about: 'emailChange', action: '/auth/email/confirm', token });
      },
    );

    app.post(
      '/auth/email/confirm',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Users'],
          summary: 'Confirm a change of address by code (with a session) or by link token',
          security: [{ bearer: [] }, {}],
          consumes: ['application/json', 'application/x-www-form-urlencoded'],
          body: ConfirmBody,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const isDone = await confirm(inLanguagesOf(request, world), request);
        if (!wantsPage(request)) return reply.code(204).send(null);
        return world.linkPages.outcome(request, reply, isDone ? 'emailChanged' : 'emailHalfChanged');
      },
    );
  };
}

interface ConfirmRequest extends CredentialedRequest {
  ip: string;
  body: Type.Static<typeof ConfirmBody>;
}

async function confirm(world: UserWorld, request: ConfirmRequest): Promise<boolean> {
  const { code, token } = request.body;
  if (token !== undefined && code === undefined) return confirmByLink(world, token);
  if (code === undefined || token !== undefined) {
    throw invalidRequest({ detail: 'Send either code, with your session, or token.' });
  }
  const caller = userCaller(await world.authenticate(request));
  requireScope(caller, 'basic');
  return confirmByCode(world, caller, { code, ip: request.ip });
}
