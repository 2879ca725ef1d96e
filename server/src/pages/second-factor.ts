/** `/sign-in/second-factor`: the second half of signing in; and signing in by a passkey, which is both halves. */
import type { AuthenticationResponseJSON } from '@simplewebauthn/server';
import type { FastifyRequest } from 'fastify';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { kindsOf } from '../second-factors/store.ts';
import { owedToken } from '../sessions/browser-session.ts';
import {
  beginPasskeyLogin,
  logInByPasskey,
  type SecondFactorLoginWorld,
  showCode,
} from '../sessions/show-second-factor.ts';
import { readSignIn } from '../sessions/sign-in.ts';
import { showPage, takeForm } from './forms.ts';
import { passkeyForm, passkeysScriptPath, readPasskey } from './passkey-form.ts';
import { passkeysScript } from './passkeys-script.ts';
import type { Page } from './show.ts';
import type { Texts } from './texts/en.ts';
import { letIn, openFor, type PageWorld, tenantOf } from './world.ts';

export interface SecondFactorPageWorld extends PageWorld, SecondFactorLoginWorld {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
}

export function secondFactorPageRoutes(world: SecondFactorPageWorld): Routes {
  const again = (texts: Texts, note: Html | undefined, request: FastifyRequest) => askPage(world, texts, note, request);
  const tokenFor = (request: FastifyRequest, step: string) =>
    step === 'second' ? (owedToken(world, request) ?? '') : undefined;
  return (app) => {
    app.get(passkeysScriptPath, { schema: { hide: true } }, (_request, reply) =>
      reply.type('text/javascript').header('Cache-Control', 'public, max-age=3600').send(passkeysScript),
    );

    showPage(app, {
      path: '/sign-in/second-factor',
      summary: 'Show the second factor',
      page: (texts, _query, request) => again(texts, undefined, request),
    });

    takeForm(app, world, {
      path: '/sign-in/second-factor',
      summary: 'Sign in with the code of an app, or a recovery code',
      fields: ['code'],
      act: async (request, reply, { code }) => {
        const signInToken = owedToken(world, request) ?? '';
        const { opened } = await showCode(world, { signInToken, code }, openFor(world, request));
        return letIn(world, reply, opened);
      },
      again: (texts, note, _fields, request) => again(texts, note, request),
    });

    takeForm(app, world, {
      path: '/sign-in/passkey/options',
      summary: 'What the script of the page asks the browser for',
      fields: ['step'],
      act: async (request, reply, { step, server }) => {
        const { id: tenantId } = await tenantOf(world, server);
        const signInToken = tokenFor(request, step);
        return reply.send({ ...(await beginPasskeyLogin(world, { tenantId, signInToken, ip: request.ip })) });
      },
      again: (texts, note, _fields, request) => again(texts, note, request),
    });

    takeForm(app, world, {
      path: '/sign-in/passkey',
      summary: 'Sign in with a passkey',
      fields: ['step', 'ceremony', 'response'],
      act: async (request, reply, { step, ...fields }) => {
        const answer = readPasskey<AuthenticationResponseJSON>(fields);
        const signInToken = tokenFor(request, step);
        const { opened } = await logInByPasskey(world, { ...answer, signInToken }, openFor(world, request));
        return letIn(world, reply, opened);
      },
      again: (texts, note, _fields, request) => again(texts, note, request),
    });
  };
}

/** The page of whoever owes a second factor; who owes none is sent to sign in. */
async function askPage(
  world: SecondFactorPageWorld,
  texts: Texts,
  note: Html | undefined,
  request: FastifyRequest,
): Promise<Page> {
  const token = owedToken(world, request);
  const signIn = token === undefined ? undefined : await readSignIn(world, world.db, token).catch(() => undefined);
  if (!signIn) {
    const title = texts.signInTitle;
    return { title, body: html`<h1>${title}</h1>${note}<p><a href="/sign-in">${texts.toSignIn}</a></p>` };
  }
  const hasPasskey = (await kindsOf(world.db, signIn.userId)).includes('passkey');
  return {
    title: texts.secondFactorTitle,
    ...(hasPasskey && { script: passkeysScriptPath }),
    body: html`<h1>${texts.secondFactorTitle}</h1>${note}
<p>${texts.secondFactorText}</p>
<form method="post" action="/sign-in/second-factor">
${factorCodeField(texts, !note)}
<button type="submit">${texts.signIn}</button>
</form>
${hasPasskey && passkeyForm(texts, { does: 'get', action: '/sign-in/passkey', options: '/sign-in/passkey/options', step: 'second', button: texts.usePasskey })}
<p class="aside"><a href="/sign-in">${texts.startAgain}</a></p>`,
  };
}

/** Digits of an app, or the letters and digits of a recovery code. */
export function factorCodeField(texts: Texts, isFirst: boolean): Html {
  return html`<p><label for="code">${texts.factorCodeField}</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="32" required${isFirst && html` autofocus`}></p>
`;
}
