/** `/sign-in`: with a password, or by a letter. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { inEvenTime } from '../challenges/even-time.ts';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { openBrowserSession } from '../sessions/browser-session.ts';
import {
  type LetterLoginWorld,
  logInByCode,
  logInByLink,
  type OpenSession,
  requestLogin,
} from '../sessions/log-in-by-letter.ts';
import { findLogin, type LoginWorld } from '../sessions/login.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { namedTenant, type TenantDirectory } from '../tenants/tenants.ts';
import { toLoginName } from '../users/check-password.ts';
import { forgotPassword } from '../users/reset-password.ts';
import { originOf, readEmail } from '../users/user.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import {
  field,
  formConsumes,
  hidden,
  noteOf,
  ownFormsOnly,
  type PageWorld,
  sendPage,
  setSessionCookie,
} from './world.ts';

export interface SignInWorld extends PageWorld, LoginWorld, LetterLoginWorld {
  resolveTenant: TenantDirectory['resolveTenant'];
}

const Text = Type.String({ maxLength: 1024 });
const Server = Type.Optional(Type.String({ maxLength: 63, description: 'The tenant' }));
const Query = Type.Object({ server: Server }, { additionalProperties: false });
const tags = ['Pages'];
const form = (summary: string, properties: Record<string, typeof Text>) => ({
  tags,
  // A cookie at most, and the hook asks where the form comes from.
  security: [],
  summary,
  consumes: formConsumes,
  produces: ['text/html'],
  body: Type.Object({ ...properties, server: Server }, { additionalProperties: false }),
});
const shown = (summary: string) => ({ tags, summary, produces: ['text/html'], querystring: Query });

export function signInRoutes(world: SignInWorld): Routes {
  const onRequest = ownFormsOnly(world);
  const open =
    (request: FastifyRequest): OpenSession<string> =>
    (tx, login) =>
      openBrowserSession(world, tx, { ...login, origin: originOf(request) });
  const letIn = (reply: FastifyReply, cookie: string) => {
    setSessionCookie(world, reply, cookie);
    return reply.redirect('/account', 303);
  };
  return (app) => {
    app.get('/sign-in', { schema: shown('Sign in') }, (request, reply) => {
      const texts = textsFor(request);
      return sendPage(reply, texts, passwordForm(texts, request.query.server));
    });

    app.post(
      '/sign-in',
      { onRequest, schema: form('Sign in with a password', { email: Text, password: Text }) },
      async (request, reply) => {
        const { email, password, server } = request.body as { email: string; password: string; server?: string };
        try {
          const tenant = await world.resolveTenant(namedTenant(undefined, server));
          const origin = originOf(request);
          const user = await findLogin(world, { tenant, name: toLoginName(email), password, origin });
          return letIn(reply, await openBrowserSession(world, world.db, { user, tenant, origin, methods: ['pwd'] }));
        } catch (error) {
          const texts = textsFor(request);
          const { status, note } = noteOf(texts, error);
          return sendPage(reply, texts, { status, ...passwordForm(texts, server, { note, name: email }) });
        }
      },
    );

    app.get('/sign-in/letter', { schema: shown('Sign in without a password') }, (request, reply) => {
      const texts = textsFor(request);
      return sendPage(reply, texts, addressForm(texts, '/sign-in/letter', request.query.server));
    });

    app.post(
      '/sign-in/letter',
      { onRequest, schema: form('Ask for a letter to sign in by', { email: Text }) },
      async (request, reply) => {
        const { email, server } = request.body as { email: string; server?: string };
        const texts = textsFor(request);
        try {
          const { emailNormalized } = readEmail(email);
          const { id: tenantId } = await world.resolveTenant(namedTenant(undefined, server));
          const challengeId = await inEvenTime(() =>
            requestLogin(inLanguagesOf(request, world), { tenantId, emailNormalized, ip: request.ip }),
          );
          return sendPage(reply, texts, codeForm(texts, challengeId));
        } catch (error) {
          const { status, note } = noteOf(texts, error);
          return sendPage(reply, texts, { status, ...addressForm(texts, '/sign-in/letter', server, note) });
        }
      },
    );

    app.post(
      '/sign-in/code',
      { onRequest, schema: form('Sign in by the code of the letter', { challenge_id: Text, code: Text }) },
      async (request, reply) => {
        const { challenge_id: challengeId, code } = request.body as { challenge_id: string; code: string };
        try {
          const given = { challengeId, code: code.trim(), ip: request.ip };
          return letIn(reply, (await logInByCode(world, given, open(request))).opened);
        } catch (error) {
          const texts = textsFor(request);
          const { status, note } = noteOf(texts, error);
          return sendPage(reply, texts, { status, ...codeForm(texts, challengeId, note) });
        }
      },
    );

    app.get(
      '/auth/otp/verify',
      {
        schema: {
          tags,
          summary: 'The page that the link of the letter opens; it changes nothing',
          produces: ['text/html'],
          querystring: Type.Object({ token: Type.String({ maxLength: 256 }) }),
        },
      },
      (request, reply) => {
        const texts = textsFor(request);
        return sendPage(reply, texts, linkForm(texts, request.query.token));
      },
    );

    app.post(
      '/sign-in/link',
      { onRequest, schema: form('Sign in by the link of the letter', { token: Text }) },
      async (request, reply) => {
        const { token } = request.body as { token: string };
        try {
          return letIn(reply, (await logInByLink(world, token, open(request))).opened);
        } catch (error) {
          const texts = textsFor(request);
          const { status, note } = noteOf(texts, error);
          return sendPage(reply, texts, { status, ...addressForm(texts, '/sign-in/letter', undefined, note) });
        }
      },
    );

    app.get('/forgot', { schema: shown('Forgot the password') }, (request, reply) => {
      const texts = textsFor(request);
      return sendPage(reply, texts, addressForm(texts, '/forgot', request.query.server));
    });

    app.post(
      '/forgot',
      { onRequest, schema: form('Ask for a letter to set a new password', { email: Text }) },
      async (request, reply) => {
        const { email, server } = request.body as { email: string; server?: string };
        const texts = textsFor(request);
        try {
          const { emailNormalized } = readEmail(email);
          const { id: tenantId } = await world.resolveTenant(namedTenant(undefined, server));
          await inEvenTime(() =>
            forgotPassword(inLanguagesOf(request, world), { tenantId, emailNormalized, ip: request.ip }),
          );
          return sendPage(reply, texts, {
            title: texts.codeSentTitle,
            body: html`<h1>${texts.codeSentTitle}</h1><p>${texts.letterSent}</p>`,
          });
        } catch (error) {
          const { status, note } = noteOf(texts, error);
          return sendPage(reply, texts, { status, ...addressForm(texts, '/forgot', server, note) });
        }
      },
    );
  };
}

interface Form {
  title: string;
  body: Html;
}

function passwordForm(
  texts: Texts,
  server: string | undefined,
  { note, name }: { note?: Html; name?: string } = {},
): Form {
  const query = server === undefined ? '' : `?server=${encodeURIComponent(server)}`;
  return {
    title: texts.signInTitle,
    body: html`<h1>${texts.signInTitle}</h1>${note}
<form method="post" action="/sign-in">${hidden('server', server)}
${field({ name: 'email', label: texts.nameField, autocomplete: 'username', value: name, isFirst: name === undefined })}
${field({ name: 'password', label: texts.passwordField, type: 'password', autocomplete: 'current-password', isFirst: name !== undefined })}
<button type="submit">${texts.signIn}</button>
</form>
<p><a href="/forgot${query}">${texts.forgotPassword}</a></p>
<p><a href="/sign-in/letter${query}">${texts.byLetter}</a></p>`,
  };
}

function addressForm(
  texts: Texts,
  action: '/sign-in/letter' | '/forgot',
  server: string | undefined,
  note?: Html,
): Form {
  const isForgot = action === '/forgot';
  const title = isForgot ? texts.forgotTitle : texts.signInTitle;
  return {
    title,
    body: html`<h1>${title}</h1>${note}
${isForgot && html`<p>${texts.forgotText}</p>`}
<form method="post" action="${action}">${hidden('server', server)}
${field({ name: 'email', label: texts.emailField, type: 'email', autocomplete: 'email', isFirst: true })}
<button type="submit">${isForgot ? texts.sendLetter : texts.sendCode}</button>
</form>
<p><a href="/sign-in${server === undefined ? '' : `?server=${encodeURIComponent(server)}`}">${texts.byPassword}</a></p>`,
  };
}

function codeForm(texts: Texts, challengeId: string, note?: Html): Form {
  return {
    title: texts.codeSentTitle,
    body: html`<h1>${texts.codeSentTitle}</h1>${note}
<p>${texts.codeSent}</p>
<form method="post" action="/sign-in/code">${hidden('challenge_id', challengeId)}
${field({ name: 'code', label: texts.codeField, autocomplete: 'one-time-code', isFirst: true })}
<button type="submit">${texts.signIn}</button>
</form>
<p><a href="/sign-in/letter">${texts.sendCode}</a></p>`,
  };
}

function linkForm(texts: Texts, token: string): Form {
  return {
    title: texts.linkTitle,
    body: html`<h1>${texts.linkTitle}</h1>
<p>${texts.linkText}</p>
<form method="post" action="/sign-in/link">${hidden('token', token)}
<button type="submit">${texts.signIn}</button>
</form>`,
  };
}
