/** `/auth/google` and other providers: there, back, and what an account is linked with. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Token } from '../crypto/schemas.ts';
import { PosternError } from '../errors.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import { readCookie, setCookie } from '../http/cookies.ts';
import type { LinkPages } from '../http/link-pages.ts';
import type { Routes } from '../http/server.ts';
import { type BrowserWorld, enter, openBrowserSession } from '../sessions/browser-session.ts';
import { orRefusal, unlessFactorOwed } from '../sessions/sign-in.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant, type TenantDirectory } from '../tenants/tenants.ts';
import { UserAnswer } from '../users/schemas.ts';
import { originOf, presentUser, userCaller } from '../users/user.ts';
import {
  accountPage,
  type BeginWorld,
  beginSignIn,
  openPending,
  type PendingSignIn,
  sealPending,
  signInSeconds,
} from './begin-sign-in.ts';
import { type CompleteWorld, completeSignIn } from './complete-sign-in.ts';
import { type ExchangeWorld, exchangeCode, makeSignInCode } from './exchange.ts';
import { type FindWorld, findOrMakeUser } from './find-or-make-user.ts';
import type { Identity } from './identity.ts';
import { identitiesOf } from './store.ts';
import { unlink } from './unlink.ts';

export interface IdentityWorld extends BeginWorld, CompleteWorld, FindWorld, ExchangeWorld, BrowserWorld {
  linkPages: LinkPages;
  needs: Needs;
  resolveTenant: TenantDirectory['resolveTenant'];
}

const Login = Type.Object({ user: UserAnswer, token: Token });

export function identityRoutes(world: IdentityWorld): Routes {
  const isHttps = world.publicUrl.startsWith('https:');
  return (app) => {
    // Google's path is always there, so that who has not set it up is told so.
    for (const provider of new Set(['google', ...world.providers.all.map(({ id }) => id)])) {
      app.get(
        `/auth/${provider}`,
        {
          errorHandler: world.linkPages.fault,
          schema: {
            tags: ['Sign-in with providers'],
            summary: `Sign in with the provider "${provider}": sends the browser there`,
            headers: TenantHeaders,
            querystring: Type.Object(
              {
                redirect_to: Type.Optional(
                  Type.String({
                    maxLength: 2048,
                    description:
                      'Where to come back with a code, one of REDIRECT_URLS; or `/account`: our own page, signed in there',
                  }),
                ),
                server: Type.Optional(Type.String({ description: 'The tenant' })),
              },
              { additionalProperties: false },
            ),
          },
        },
        async (request, reply) => {
          const { redirect_to: redirectTo, server } = request.query;
          const { id: tenantId } = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
          try {
            const { url, pending } = await beginSignIn(world, { provider, tenantId, redirectTo });
            const sealed = sealPending(world.secrets, pending);
            setCookie(reply, cookieOf(pending.state), sealed, { seconds: signInSeconds, isHttps });
            return reply.redirect(url, 302);
          } catch (error) {
            // Nobody is sent to another address than our own before it is found to be allowed.
            if (redirectTo !== accountPage) throw error;
            return sendRefusal(world, reply, { redirectTo, tenantId }, error);
          }
        },
      );
    }

    app.get(
      '/auth/callback',
      {
        errorHandler: world.linkPages.fault,
        schema: {
          tags: ['Sign-in with providers'],
          summary: 'Where a provider sends the browser back: tokens, or a code for where the sign-in was begun',
          querystring: Type.Object({ state: Type.Optional(Type.String({ maxLength: 256 })) }),
          response: { 200: Login },
        },
      },
      async (request, reply) => {
        const { state } = request.query;
        let pending: PendingSignIn | undefined;
        try {
          const sealed = state === undefined ? undefined : readCookie(request, cookieOf(state), isHttps);
          pending = openPending(world.secrets, sealed, state);
          setCookie(reply, cookieOf(pending.state), '', { seconds: 0, isHttps });
          const query = request.raw.url?.split('?').slice(1).join('?') ?? '';
          const account = await completeSignIn(world, pending, query);
          return await finish(world, request, reply, pending, account);
        } catch (error) {
          return sendRefusal(world, reply, pending, error);
        }
      },
    );

    app.post(
      '/auth/exchange',
      {
        schema: {
          tags: ['Sign-in with providers'],
          summary: 'Trade the code of a sign-in for tokens, once and within a minute',
          body: Type.Object({ code: Type.String({ maxLength: 256 }) }, { additionalProperties: false }),
          response: { 200: Login },
        },
      },
      async (request) => {
        const { user, tenantSlug, token } = await exchangeCode(world, request.body.code, originOf(request));
        return { user: presentUser(user, tenantSlug), token };
      },
    );

    ownIdentityRoutes(world)(app);
  };
}

/** Of its own for each sign-in, so that two tabs do not end each other's. */
function cookieOf(state: string): string {
  return `sign-in-${state.slice(0, 8).replace(/[^\w-]/g, '')}`;
}

async function finish(
  world: IdentityWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  { tenantId, redirectTo }: PendingSignIn,
  account: Awaited<ReturnType<typeof completeSignIn>>,
) {
  const origin = originOf(request);
  const tenant = { id: tenantId, slug: await world.tenantSlug(tenantId) };
  const done = await world.db.begin(async (tx) => {
    const { user, announce } = await findOrMakeUser(inLanguagesOf(request, world), tx, {
      tenantId,
      account,
      ip: origin.ip,
    });
    if (redirectTo === accountPage) {
      const opening = { user, tenant, origin, methods: ['fed'] } as const;
      return {
        announce,
        cookie: await unlessFactorOwed(world, tx, opening, () => openBrowserSession(world, tx, opening)),
      };
    }
    if (redirectTo !== undefined) return { user, announce, code: await makeSignInCode(world, tx, user.id) };
    return { user, announce, opened: await world.openOutsideSession(tx, { user, tenant, origin }) };
  });
  done.announce();
  if ('cookie' in done) {
    return reply.redirect(enter(world, reply, done.cookie ?? '', accountPage), 302);
  }
  if ('code' in done) return reply.redirect(withParameter(redirectTo ?? '', 'code', done.code ?? ''), 302);
  return reply.send({ token: orRefusal(done.opened), user: presentUser(done.user, tenant.slug) });
}

/** Back to the application or to our own page, where the sign-in began; else to whoever reads it. */
async function sendRefusal(
  { tenantSlug }: IdentityWorld,
  reply: FastifyReply,
  pending: Pick<PendingSignIn, 'redirectTo' | 'tenantId'> | undefined,
  error: unknown,
) {
  if (!(error instanceof PosternError) || pending?.redirectTo === undefined) throw error;
  const { redirectTo, tenantId } = pending;
  if (redirectTo !== accountPage) return reply.redirect(withParameter(redirectTo, 'error', error.code), 302);
  const query = new URLSearchParams({ server: await tenantSlug(tenantId), error: error.code });
  return reply.redirect(`/sign-in?${query}`, 302);
}

function withParameter(url: string, name: string, value: string): string {
  const parsed = new URL(url);
  parsed.searchParams.set(name, value);
  return parsed.href;
}

const IdentityAnswer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  issuer: Type.String(),
  subject: Type.String(),
  email: Type.Union([Type.String(), Type.Null()], { description: 'As the provider said at the last sign-in' }),
  created_at: Type.String({ format: 'date-time' }),
  last_used_at: Type.String({ format: 'date-time' }),
});

export function presentIdentity({
  id,
  issuer,
  subject,
  email,
  createdAt,
  lastUsedAt,
}: Identity): Type.Static<typeof IdentityAnswer> {
  return {
    id,
    issuer,
    subject,
    email,
    created_at: createdAt.toISOString(),
    last_used_at: lastUsedAt.toISOString(),
  };
}

function ownIdentityRoutes(world: IdentityWorld): Routes {
  return (app) => {
    app.get(
      '/auth/identities',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Sign-in with providers'],
          summary: 'With which outside accounts I sign in',
          security: [{ bearer: [] }],
          response: { 200: Type.Object({ data: Type.Array(IdentityAnswer) }) },
        },
      },
      async (request) => {
        const identities = await identitiesOf(world.db, userCaller(callerOf(request)).id);
        return { data: identities.map(presentIdentity) };
      },
    );

    app.delete(
      '/auth/identities/:id',
      {
        onRequest: world.needs('basic'),
        schema: {
          tags: ['Sign-in with providers'],
          summary: 'Sign in with an outside account no more',
          security: [{ bearer: [] }],
          params: Type.Object({ id: Type.String() }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await unlink(world, userCaller(callerOf(request)), request.params.id);
        return reply.code(204).send(null);
      },
    );
  };
}
