/** `/sign-in/letter`: without a password, by the code or the link of a letter. */
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { type LetterLoginWorld, logInByCode, logInByLink, requestLogin } from '../sessions/log-in-by-letter.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { askForLetter } from './ask-for-letter.ts';
import { takeForm } from './forms.ts';
import { buttonPage, tokenQuery } from './link-pages.ts';
import { codeField, hidden, type Page, sendPage, showFault } from './show.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import { letIn, openFor, type PageWorld } from './world.ts';

export function signInByLetterRoutes(world: PageWorld & LetterLoginWorld): Routes {
  return (app) => {
    askForLetter(app, world, {
      path: '/sign-in/letter',
      summary: 'Sign in without a password',
      words: (texts) => ({ title: texts.signInTitle, button: texts.sendCode }),
      send: (request, to) => requestLogin(inLanguagesOf(request, world), to),
      sent: codePage,
    });

    takeForm(app, world, {
      path: '/sign-in/code',
      summary: 'Sign in by the code of the letter',
      fields: ['challenge_id', 'code'],
      act: async (request, reply, { challenge_id: challengeId, code }) => {
        const given = { challengeId, code: code.trim(), ip: request.ip };
        return letIn(world, reply, (await logInByCode(world, given, openFor(world, request))).opened);
      },
      again: (texts, note, { challenge_id: challengeId }) => codePage(texts, challengeId, note),
    });

    app.get(
      '/auth/otp/verify',
      {
        errorHandler: showFault,
        schema: {
          tags: ['Pages'],
          summary: 'The page that the link of the letter opens; it changes nothing',
          produces: ['text/html'],
          querystring: tokenQuery,
        },
      },
      (request, reply) => {
        const texts = textsFor(request);
        return sendPage(reply, texts, linkPage(texts, request.query.token));
      },
    );

    takeForm(app, world, {
      path: '/sign-in/link',
      summary: 'Sign in by the link of the letter',
      fields: ['token'],
      act: async (request, reply, { token }) =>
        letIn(world, reply, (await logInByLink(world, token, openFor(world, request))).opened),
      again: (texts, note) => ({
        title: texts.signInTitle,
        body: html`<h1>${texts.signInTitle}</h1>${note}
<p><a href="/sign-in/letter">${texts.sendCode}</a></p>`,
      }),
    });
  };
}

function codePage(texts: Texts, challengeId: string, note?: Html): Page {
  return {
    title: texts.codeSentTitle,
    body: html`<h1>${texts.codeSentTitle}</h1>${note}
<p>${texts.codeSent}</p>
<form method="post" action="/sign-in/code">${hidden('challenge_id', challengeId)}
${codeField(texts.codeField, !note)}
<button type="submit">${texts.signIn}</button>
</form>
<p class="aside"><a href="/sign-in/letter">${texts.sendCodeAgain}</a></p>`,
  };
}

function linkPage(texts: Texts, token: string): Page {
  const [title, text, button] = [texts.signInTitle, texts.signInLinkText, texts.signIn];
  return buttonPage({ title, text, button, action: '/sign-in/link', token });
}
