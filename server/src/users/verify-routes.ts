/** `/auth/verify`: by code over HTTP Basic, by the link's token, and the page that the link opens. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { PosternError } from '../errors.ts';
import { basicCredential } from '../http/caller.ts';
import { html, page } from '../http/page.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { namedTenant } from '../tenants/tenants.ts';
import { toLoginName } from './check-password.ts';
import { invalidCredentials } from './errors.ts';
import type { UserWorld } from './routes.ts';
import { presentUser, readEmail, type User, UserAnswer } from './user.ts';
import { basicChallenge, resendVerification, verifyByCode, verifyByLink } from './verify-email.ts';

const Headers = Type.Object({
  'postern-tenant': Type.Optional(Type.String({ description: 'The tenant of a public call' })),
});

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
        schema: {
          tags: ['Users'],
          summary: 'The page a verification link opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      // Mail scanners open every link: only the button, a POST, verifies. The token is not even looked up.
      async (request, reply) => reply.type('text/html').send(confirmPage(request.query.token)),
    );

    app.post(
      '/auth/verify',
      {
        schema: {
          tags: ['Users'],
          summary: 'Verify the e-mail address by code (with HTTP Basic) or by link token',
          security: [{ basic: [] }, {}],
          consumes: ['application/json', 'application/x-www-form-urlencoded'],
          headers: Headers,
          body: VerifyBody,
          response: { 200: Type.Object({ user: UserAnswer }) },
        },
      },
      async (request, reply) => {
        const asPage = wantsPage(request);
        try {
          const user = await verify(world, request, request.body);
          if (asPage) return sendPage(reply, 200, donePage());
          return { user: presentUser(user, await world.tenantSlug(user.tenantId)) };
        } catch (error) {
          if (!asPage || !(error instanceof PosternError) || error.status >= 500) throw error;
          if (error.details.headers) reply.headers(error.details.headers);
          return sendPage(reply, error.status, faultPage(error));
        }
      },
    );

    app.post(
      '/auth/verify/resend',
      {
        schema: {
          tags: ['Users'],
          summary: 'Ask for a new letter; the answer is the same for every address',
          headers: Headers,
          body: Type.Object(
            { email: Type.String({ maxLength: 320 }), server: Type.Optional(Type.String()) },
            { additionalProperties: false },
          ),
          response: { 202: Type.Object({ message: Type.String() }) },
        },
      },
      async (request, reply) => {
        const { email, server } = request.body;
        const { emailNormalized } = readEmail(email);
        const tenant = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
        await resendVerification(world, tenant.id, emailNormalized);
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
  return verifyByCode(world, { tenantId: tenant?.id, name: toLoginName(user), password, code: code ?? '' });
}

/** A form is sent by a page and wants one back, a program gets JSON; `Accept` may say otherwise. */
function wantsPage({ headers }: FastifyRequest): boolean {
  const accept = headers.accept ?? '';
  if (accept.includes('text/html')) return true;
  return /^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '') && !accept.includes('json');
}

function sendPage(reply: FastifyReply, status: number, document: string) {
  return (
    reply
      .code(status)
      .type('text/html')
      // The route's response schema is the one of its JSON.
      .serializer((body: string) => body)
      .send(document)
  );
}

function confirmPage(token: string): string {
  return page({
    title: 'Confirm your address',
    body: html`<main class="narrow">
<h1>Confirm your address</h1>
<p>Press the button to confirm that this e-mail address is yours.</p>
<form method="post" action="/auth/verify">
<input type="hidden" name="token" value="${token}">
<button type="submit">Confirm</button>
</form>
</main>`,
  });
}

function donePage(): string {
  return page({
    title: 'Address confirmed',
    body: html`<main class="narrow">
<h1>Your address is confirmed</h1>
<p>You can close this page.</p>
</main>`,
  });
}

function faultPage(error: PosternError): string {
  return page({
    title: error.title,
    body: html`<main class="narrow">
<h1>${error.title}</h1>
<p>${error.details.detail}</p>
</main>`,
  });
}
