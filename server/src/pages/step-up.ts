/** `/account/step-up`: whoever is signed in shows again that it is them, before what a stolen session must not do. */
import type { AuthenticationResponseJSON } from '@simplewebauthn/server';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { kindsOf } from '../second-factors/store.ts';
import { type BrowserCaller, continuation } from '../sessions/browser-session.ts';
import { beginPasskeyStepUp, type Shown, type StepUpWorld, stepUp } from '../sessions/step-up.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { findUser } from '../users/create-user.ts';
import { showOwnPage, stepUpPath, takeOwnForm } from './forms.ts';
import { passkeyForm, passkeysScriptPath, readPasskey } from './passkey-form.ts';
import { factorCodeField } from './second-factor.ts';
import { field, type Page, sendPage } from './show.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import type { PageWorld } from './world.ts';

export interface StepUpPageWorld extends PageWorld, StepUpWorld {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
  tenantSlug: TenantDirectory['tenantSlug'];
}

export function stepUpPageRoutes(world: StepUpPageWorld): Routes {
  const again = (texts: Texts, note: Html | undefined, caller: BrowserCaller) => stepUpPage(world, texts, caller, note);
  return (app) => {
    showOwnPage(app, world, { path: stepUpPath, summary: 'Show again who it is' }, async (request, reply, caller) => {
      const texts = textsFor(request);
      return sendPage(reply, texts, await again(texts, undefined, caller));
    });

    const take = <const Name extends string>(
      path: string,
      fields: readonly Name[],
      shown: (fields: Record<Name, string>, ip: string) => Shown,
    ) =>
      takeOwnForm(app, world, {
        path,
        summary: 'Show again who it is',
        fields,
        act: async (request, reply, caller, given) => {
          await stepUp(world, caller, shown(given, request.ip));
          return reply.redirect(continuation(world, request) ?? '/account#second-factors', 303);
        },
        again,
      });
    take(`${stepUpPath}/password`, ['password'], ({ password }, ip) => ({ password, ip }));
    take(`${stepUpPath}/code`, ['code'], ({ code }) => ({ code }));
    take(`${stepUpPath}/passkey`, ['ceremony', 'response'], (fields) =>
      readPasskey<AuthenticationResponseJSON>(fields),
    );

    takeOwnForm(app, world, {
      path: `${stepUpPath}/passkey/options`,
      summary: 'What the script of the page asks the browser for',
      fields: [],
      act: async (_request, reply, caller) => reply.send({ ...(await beginPasskeyStepUp(world, caller)) }),
      again,
    });
  };
}

async function stepUpPage(
  { db, tenantSlug }: StepUpPageWorld,
  texts: Texts,
  { tenantId, id }: BrowserCaller,
  note: Html | undefined,
): Promise<Page> {
  const user = await findUser(db, tenantId, { id });
  const title = texts.stepUpTitle;
  const head = html`<h1>${title}</h1>${note}
<p>${texts.stepUpText}</p>`;
  const elsewhere = `/sign-in?${new URLSearchParams({ server: await tenantSlug(tenantId) })}`;
  const aside = html`<p class="aside"><a href="/account">${texts.toAccount}</a> · <a href="${elsewhere}">${texts.anotherAccount}</a></p>`;
  if (user.hasSecondFactor) {
    const hasPasskey = (await kindsOf(db, id)).includes('passkey');
    return {
      title,
      ...(hasPasskey && { script: passkeysScriptPath }),
      body: html`${head}
<form method="post" action="${stepUpPath}/code">
${factorCodeField(texts, !note)}
<button type="submit">${texts.confirm}</button>
</form>
${hasPasskey && passkeyForm(texts, { does: 'get', action: `${stepUpPath}/passkey`, options: `${stepUpPath}/passkey/options`, button: texts.usePasskey })}
${aside}`,
    };
  }
  const password = html`<form method="post" action="${stepUpPath}/password">
${field({ name: 'password', label: texts.currentPassword, type: 'password', autocomplete: 'current-password', isFirst: !note })}
<button type="submit">${texts.confirm}</button>
</form>`;
  // Who has neither can only come in again.
  const anew = html`<form method="post" action="/account/sign-out"><button type="submit">${texts.signOut}</button></form>
<p>${texts.signInAnew}</p>`;
  return {
    title,
    body: html`${head}
${user.passwordHash === null ? anew : password}
${aside}`,
  };
}
