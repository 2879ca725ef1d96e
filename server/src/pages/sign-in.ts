/** `/sign-in`: with a password, and the doors to every other way. */
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import type { Providers } from '../identities/providers.ts';
import { findLogin, type LoginWorld } from '../sessions/login.ts';
import { toLoginName } from '../users/check-password.ts';
import { originOf } from '../users/user.ts';
import { showPage, takeForm } from './forms.ts';
import { passkeyForm, passkeysScriptPath } from './passkey-form.ts';
import { providerLinks } from './providers.ts';
import { field, hidden, note, type Page, within } from './show.ts';
import type { Texts } from './texts/en.ts';
import { faultOf } from './texts/texts.ts';
import { letIn, openFor, type PageWorld, tenantOf } from './world.ts';

export interface SignInWorld extends PageWorld, LoginWorld {
  providers: Providers;
}

export function signInRoutes(world: SignInWorld): Routes {
  return (app) => {
    showPage(app, {
      path: '/sign-in',
      summary: 'Sign in',
      // The error is one of a sign-in with a provider, which comes back here.
      page: (texts, { server, error, login_hint: name = '' }) =>
        signInPage(world, texts, {
          server,
          note: error === undefined ? undefined : note('alert', faultOf(texts, error)),
          name,
        }),
    });

    takeForm(app, world, {
      path: '/sign-in',
      summary: 'Sign in with a password',
      fields: ['email', 'password'],
      act: async (request, reply, { email, password, server }) => {
        const tenant = await tenantOf(world, server);
        const origin = originOf(request);
        const user = await findLogin(world, { tenant, name: toLoginName(email), password, origin });
        return letIn(world, reply, await openFor(world, request)(world.db, { user, tenant, methods: ['pwd'] }));
      },
      again: (texts, note, { email, server }) => signInPage(world, texts, { server, note, name: email }),
    });
  };
}

function signInPage(
  world: SignInWorld,
  texts: Texts,
  { server, note, name }: { server?: string | undefined; note?: Html | undefined; name?: string },
): Page {
  return {
    title: texts.signInTitle,
    script: passkeysScriptPath,
    body: html`<h1>${texts.signInTitle}</h1>${note}
<form method="post" action="/sign-in">${hidden('server', server)}
${field({ name: 'email', label: texts.nameField, autocomplete: 'username', value: name, isFirst: !note })}
${field({ name: 'password', label: texts.passwordField, type: 'password', autocomplete: 'current-password' })}
<button type="submit">${texts.signIn}</button>
</form>
<p><a href="${within(server, '/forgot')}">${texts.forgotPassword}</a></p>
<p><a href="${within(server, '/sign-in/letter')}">${texts.byLetter}</a></p>
${passkeyForm(texts, { does: 'get', action: '/sign-in/passkey', options: '/sign-in/passkey/options', step: 'alone', server, button: texts.byPasskey })}
${providerLinks(world, texts, server)}
${world.registration !== 'closed' && html`<p class="aside"><a href="${within(server, '/sign-up')}">${texts.toSignUp}</a></p>`}`,
  };
}
