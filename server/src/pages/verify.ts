/** `/verify`: the code of a letter, for whoever is signed in and has yet to show that the address is theirs. */
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import type { BrowserCaller } from '../sessions/browser-session.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { findUser } from '../users/create-user.ts';
import type { User } from '../users/user.ts';
import { type ResendWorld, resendVerification, verifyOwnByCode } from '../users/verify-email.ts';
import type { ForgetUser } from '../users/who-am-i.ts';
import { showOwnPage, takeOwnForm } from './forms.ts';
import { codeField, note, type Page, sendPage } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';
import type { PageWorld } from './world.ts';

export interface VerifyWorld extends PageWorld, ResendWorld {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
  forgetUser: ForgetUser;
}

export function verifyPageRoutes(world: VerifyWorld): Routes {
  const userOf = ({ tenantId, id }: BrowserCaller) => findUser(world.db, tenantId, { id });
  return (app) => {
    showOwnPage(app, world, { path: '/verify', summary: 'Confirm the address' }, async (request, reply, caller) => {
      const user = await userOf(caller);
      if (!isWaiting(user)) return reply.redirect('/account', 302);
      const texts = textsFor(request);
      return sendPage(reply, texts, verifyPage(texts, user));
    });

    takeOwnForm(app, world, {
      path: '/verify',
      summary: 'Confirm the address by the code of the letter',
      fields: ['code'],
      act: async (request, reply, caller, { code }) => {
        await verifyOwnByCode(world, await userOf(caller), { code: code.trim(), ip: request.ip });
        return reply.redirect('/account', 303);
      },
      again: async (texts, note, caller) => verifyPage(texts, await userOf(caller), note),
    });

    takeOwnForm(app, world, {
      path: '/verify/resend',
      summary: 'Ask for a new letter',
      fields: [],
      act: async (request, reply, caller) => {
        const user = await userOf(caller);
        if (!isWaiting(user)) return reply.redirect('/account', 303);
        await resendVerification(inLanguagesOf(request, world), user.tenantId, user.emailNormalized, request.ip);
        const texts = textsFor(request);
        return sendPage(reply, texts, verifyPage(texts, user, note('status', texts.resent)));
      },
      again: async (texts, note, caller) => verifyPage(texts, await userOf(caller), note),
    });
  };
}

function isWaiting(user: User): user is User & { emailNormalized: string } {
  return user.emailNormalized !== null && user.emailVerifiedAt === null;
}

function verifyPage(texts: Texts, { email }: User, note?: Html): Page {
  return {
    title: texts.verifyTitle,
    body: html`<h1>${texts.verifyTitle}</h1>${note}
<p>${fill(texts.verifyText, { email: email ?? '' })}</p>
<form method="post" action="/verify">
${codeField(texts.codeField, !note)}
<button type="submit">${texts.confirm}</button>
</form>
<form class="aside" method="post" action="/verify/resend"><button class="quiet" type="submit">${texts.resend}</button></form>
<p><a href="/account">${texts.later}</a></p>`,
  };
}
