/** Showing a second factor, logging in by a passkey, and authenticating again. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { GivenPassword, Token } from '../crypto/schemas.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { asked, SignedCredential, Uuid } from '../second-factors/schemas.ts';
import { namedTenant, type TenantDirectory } from '../tenants/tenants.ts';
import { UserAnswer } from '../users/schemas.ts';
import { originOf, presentUser, userCaller } from '../users/user.ts';
import { createSession } from './create-session.ts';
import type { LoggedIn, OpenSession } from './log-in-by-letter.ts';
import { currentTokens, type TokenWorld } from './session.ts';
import { beginPasskeyLogin, logInByPasskey, showCode } from './show-second-factor.ts';
import { beginPasskeyStepUp, type Shown, type StepUpWorld, stepUp } from './step-up.ts';

export interface SecondFactorRoutesWorld extends StepUpWorld, TokenWorld {
  needs: Needs;
  resolveTenant: TenantDirectory['resolveTenant'];
}

const tags = ['Second factors'];
const closed = { additionalProperties: false };
const SignInToken = Type.String({ maxLength: 128, description: 'From the refusal auth.second_factor_required' });
const Code = Type.String({ maxLength: 32, description: 'Of the app, or a recovery code' });
const Login = Type.Object({ user: UserAnswer, token: Token });

export function secondFactorLoginRoutes(world: SecondFactorRoutesWorld): Routes {
  const open =
    (request: FastifyRequest): OpenSession<Token> =>
    (tx, login) =>
      createSession(world, tx, { ...login, origin: originOf(request) });
  const present = ({ user, tenantSlug, opened }: LoggedIn<Token>) => ({
    user: presentUser(user, tenantSlug),
    token: opened,
  });
  return (app) => {
    app.post(
      '/auth/second-factor',
      {
        schema: {
          tags,
          summary: 'Complete a login by a code of an authenticator app, or a recovery code',
          body: Type.Object({ sign_in_token: SignInToken, code: Code }, closed),
          response: { 200: Login },
        },
      },
      async (request) => {
        const { sign_in_token: signInToken, code } = request.body;
        return present(await showCode(world, { signInToken, code }, open(request)));
      },
    );

    app.post(
      '/auth/passkeys/login/options',
      {
        schema: {
          tags,
          summary: 'Begin a login by passkey; with a sign_in_token, the second half of one',
          headers: Type.Object({
            'postern-tenant': Type.Optional(Type.String({ description: 'The tenant of a public call' })),
          }),
          body: Type.Object(
            { sign_in_token: Type.Optional(SignInToken), server: Type.Optional(Type.String()) },
            closed,
          ),
          response: { 200: asked('navigator.credentials.get') },
        },
      },
      async (request) => {
        const { sign_in_token: signInToken, server } = request.body;
        const { id: tenantId } = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
        return { ...(await beginPasskeyLogin(world, { tenantId, signInToken, ip: request.ip })) };
      },
    );

    app.post(
      '/auth/passkeys/login',
      {
        schema: {
          tags,
          summary: 'Log in by the passkey that the browser has asked for',
          body: Type.Object(
            { ceremony: Uuid, response: SignedCredential, sign_in_token: Type.Optional(SignInToken) },
            closed,
          ),
          response: { 200: Login },
        },
      },
      async (request) => {
        const { ceremony, response, sign_in_token: signInToken } = request.body;
        return present(await logInByPasskey(world, { ceremony, response, signInToken }, open(request)));
      },
    );

    stepUpRoutes(world)(app);
  };
}

function stepUpRoutes(world: SecondFactorRoutesWorld): Routes {
  const described = { tags, security: [{ bearer: [] }] };
  return (app) => {
    app.post(
      '/auth/step-up/passkey',
      {
        onRequest: world.needs('basic'),
        schema: {
          ...described,
          summary: 'Begin to authenticate again by passkey',
          response: { 200: asked('navigator.credentials.get') },
        },
      },
      async (request) => ({ ...(await beginPasskeyStepUp(world, userCaller(callerOf(request)))) }),
    );

    app.post(
      '/auth/step-up',
      {
        onRequest: world.needs('basic'),
        schema: {
          ...described,
          summary: 'Authenticate again within the session',
          description:
            'By a second factor where the account has one (`code`, or `ceremony` and `response`), else by `password`. ' +
            'The tokens in the answer take the place of the former ones, and say when and how in auth_time, acr and amr.',
          body: Type.Object(
            {
              password: Type.Optional(GivenPassword),
              code: Type.Optional(Code),
              ceremony: Type.Optional(Uuid),
              response: Type.Optional(SignedCredential),
            },
            closed,
          ),
          response: { 200: Type.Object({ token: Token }) },
        },
      },
      async (request) => {
        const session = await stepUp(world, userCaller(callerOf(request)), shownIn(request.body, request.ip));
        const tenantSlug = await world.tenantSlug(session.tenantId);
        return { token: await currentTokens(world, session, { tenantSlug }) };
      },
    );
  };
}

function shownIn(
  {
    password,
    code,
    ceremony,
    response,
  }: { password?: string; code?: string } & Partial<Extract<Shown, { ceremony: string }>>,
  ip: string,
): Shown {
  const given = [password, code, ceremony].filter((one) => one !== undefined).length;
  if (given === 1 && (ceremony === undefined) === (response === undefined)) {
    if (password !== undefined) return { password, ip };
    if (code !== undefined) return { code };
    if (ceremony !== undefined && response !== undefined) return { ceremony, response };
  }
  throw invalidRequest({ detail: 'Send one of: password; code; ceremony and response.' });
}
