/** `/forgot`: a letter to set a new password by. Its link opens a page of `link-pages.ts`. */
import { html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { type ForgotWorld, forgotPassword } from '../users/reset-password.ts';
import { askForLetter } from './ask-for-letter.ts';
import type { PageWorld } from './world.ts';

export function forgotRoutes(world: PageWorld & ForgotWorld): Routes {
  return (app) =>
    askForLetter(app, world, {
      path: '/forgot',
      summary: 'Forgot the password',
      words: (texts) => ({ title: texts.forgotTitle, text: texts.forgotText, button: texts.sendLetter }),
      send: (request, to) => forgotPassword(inLanguagesOf(request, world), to),
      sent: (texts) => ({
        title: texts.codeSentTitle,
        body: html`<h1>${texts.codeSentTitle}</h1><p role="status">${texts.letterSent}</p>`,
      }),
    });
}
