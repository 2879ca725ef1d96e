/** `/auth/otp`: logging in by a mailed code or link. */
import { Type } from 'typebox';
import { inEvenTime } from '../challenges/even-time.ts';
import { Token } from '../crypto/schemas.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant, type TenantDirectory } from '../tenants/tenants.ts';
import { AddressBody, UserAnswer } from '../users/schemas.ts';
import { originOf, presentUser, readEmail } from '../users/user.ts';
import { createSession } from './create-session.ts';
import {
  type LetterLoginWorld,
  type LoggedIn,
  logInByCode,
  logInByLink,
  type OpenSession,
  requestLogin,
} from './log-in-by-letter.ts';
import type { SessionTimes, TokenWorld } from './session.ts';
import { orRefusal, type SecondFactorOwed, unlessFactorOwed } from './sign-in.ts';

export interface OtpWorld extends LetterLoginWorld, TokenWorld, SessionTimes {
  resolveTenant: TenantDirectory['resolveTenant'];
}

export function otpRoutes(world: OtpWorld): Routes {
  return (app) => {
    app.post(
      '/auth/otp',
      {
        schema: {
          tags: ['Sessions'],
          summary: 'Ask for a letter to log in by; the answer is the same for every address',
          headers: TenantHeaders,
          body: AddressBody,
          response: { 202: Type.Object({ challenge_id: Type.String({ format: 'uuid' }) }) },
        },
      },
      async (request, reply) => {
        const { email, server } = request.body;
        const { emailNormalized } = readEmail(email);
        const { id: tenantId } = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
        const id = await inEvenTime(() =>
          requestLogin(inLanguagesOf(request, world), { tenantId, emailNormalized, ip: request.ip }),
        );
        return reply.code(202).send({ challenge_id: id });
      },
    );

    app.post(
      '/auth/otp/verify',
      {
        schema: {
          tags: ['Sessions'],
          summary: 'Log in by the code of the letter, or by the token of its link',
          body: Type.Object(
            {
              challenge_id: Type.Optional(Type.String({ maxLength: 64 })),
              code: Type.Optional(Type.String({ maxLength: 32, description: 'From the letter; with challenge_id' })),
              token: Type.Optional(Type.String({ maxLength: 256, description: "From the letter's link" })),
            },
            { additionalProperties: false },
          ),
          response: { 200: Type.Object({ user: UserAnswer, token: Token }) },
        },
      },
      async (request) => {
        const { challenge_id: challengeId, code, token } = request.body;
        const origin = originOf(request);
        const open: OpenSession<Token | SecondFactorOwed> = (tx, login) =>
          unlessFactorOwed(world, tx, login, () => createSession(world, tx, { ...login, origin }));
        if (token !== undefined && challengeId === undefined && code === undefined) {
          return present(await logInByLink(world, token, open));
        }
        if (token !== undefined || challengeId === undefined || code === undefined) {
          throw invalidRequest({ detail: 'Send either challenge_id and code, or token.' });
        }
        return present(await logInByCode(world, { challengeId, code, ip: origin.ip }, open));
      },
    );
  };
}

function present({ user, tenantSlug, opened }: LoggedIn<Token | SecondFactorOwed>) {
  return { token: orRefusal(opened), user: presentUser(user, tenantSlug) };
}
