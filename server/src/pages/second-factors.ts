/** The second factors of whoever is signed in: a part of `/account`, and the pages on which they are added. */
import type { RegistrationResponseJSON } from '@simplewebauthn/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html, raw } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import type { AddWorld } from '../second-factors/add-factor.ts';
import { type BegunTotp, beginTotp, begunTotp, confirmTotp } from '../second-factors/add-totp.ts';
import { factorNotFound } from '../second-factors/errors.ts';
import { addPasskey, askForNewPasskey, type PasskeySettings } from '../second-factors/passkeys.ts';
import { renewRecoveryCodes } from '../second-factors/recovery-codes.ts';
import { removeOwnFactor } from '../second-factors/remove-factor.ts';
import type { SecondFactor } from '../second-factors/second-factor.ts';
import type { BrowserCaller } from '../sessions/browser-session.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { findUser } from '../users/create-user.ts';
import type { AccountPage } from './account.ts';
import { deviceOf } from './device.ts';
import { showOwnPage, takeOwnForm } from './forms.ts';
import { passkeyForm, readPasskey } from './passkey-form.ts';
import { codeField, hidden, note, type Page, sendPage } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';
import type { PageWorld } from './world.ts';

export interface FactorPagesWorld extends PageWorld, AddWorld, PasskeySettings {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
}

export function factorPageRoutes(world: FactorPagesWorld, accountPage: AccountPage): Routes {
  const begunFor = async ({ tenantId, id }: BrowserCaller) =>
    begunTotp(world, await findUser(world.db, tenantId, { id }));
  /** The account with what happened above it; or first of all the recovery codes, which are shown once. */
  const sayAdded = async (
    request: FastifyRequest,
    reply: FastifyReply,
    caller: BrowserCaller,
    codes: string[] | undefined,
  ) => {
    const texts = textsFor(request);
    if (codes) return sendPage(reply, texts, codesPage(texts, codes));
    return sendPage(reply, texts, await accountPage(texts, note('status', texts.factorAdded), caller));
  };

  return (app) => {
    takeOwnForm(app, world, {
      path: '/account/authenticator',
      summary: 'Begin with an authenticator app',
      fields: [],
      act: async (_request, reply, caller) => {
        await beginTotp(world, caller, 'Authenticator app');
        return reply.redirect('/account/authenticator', 303);
      },
      again: accountPage,
    });

    showOwnPage(
      app,
      world,
      { path: '/account/authenticator', summary: 'The QR code for the app' },
      async (request, reply, caller) => {
        const texts = textsFor(request);
        const begun = await begunFor(caller).catch(() => undefined);
        if (!begun) return reply.redirect('/account', 302);
        return sendPage(reply, texts, await appPage(texts, begun));
      },
    );

    takeOwnForm(app, world, {
      path: '/account/authenticator/confirm',
      summary: 'Confirm the app by a code',
      fields: ['code'],
      act: async (request, reply, caller, { code }) => {
        const { id } = await begunFor(caller);
        const { recoveryCodes } = await confirmTotp(inLanguagesOf(request, world), caller, { id, code });
        return sayAdded(request, reply, caller, recoveryCodes);
      },
      again: async (texts, note, caller) => {
        const begun = await begunFor(caller).catch(() => undefined);
        return begun ? appPage(texts, begun, note) : accountPage(texts, note, caller);
      },
    });

    takeOwnForm(app, world, {
      path: '/account/passkeys/options',
      summary: 'What the script of the page asks the browser for',
      fields: [],
      act: async (_request, reply, caller) => reply.send({ ...(await askForNewPasskey(world, caller)) }),
      again: accountPage,
    });

    takeOwnForm(app, world, {
      path: '/account/passkeys',
      summary: 'Add the passkey that the browser made',
      fields: ['ceremony', 'response'],
      act: async (request, reply, caller, fields) => {
        const made = readPasskey<RegistrationResponseJSON>(fields);
        const agent = request.headers['user-agent'];
        const name = agent === undefined ? 'Passkey' : deviceOf(agent);
        const { recoveryCodes } = await addPasskey(inLanguagesOf(request, world), caller, { ...made, name });
        return sayAdded(request, reply, caller, recoveryCodes);
      },
      again: accountPage,
    });

    takeOwnForm(app, world, {
      path: '/account/second-factors/remove',
      summary: 'Remove a second factor',
      fields: ['id'],
      act: async (request, reply, caller, { id }) => {
        if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) throw factorNotFound();
        await removeOwnFactor(inLanguagesOf(request, world), caller, id);
        const texts = textsFor(request);
        return sendPage(reply, texts, await accountPage(texts, note('status', texts.factorRemoved), caller));
      },
      again: accountPage,
    });

    takeOwnForm(app, world, {
      path: '/account/recovery-codes',
      summary: 'New recovery codes',
      fields: [],
      act: async (request, reply, caller) => {
        const texts = textsFor(request);
        return sendPage(reply, texts, codesPage(texts, await renewRecoveryCodes(world, caller)));
      },
      again: accountPage,
    });
  };
}

/** The part of `/account`. */
export function factorsPart(texts: Texts, factors: SecondFactor[], codesLeft: number): Html {
  const rows = factors.map(({ id, kind, name }) => {
    const what = kind === 'totp' ? texts.authenticator : `${texts.passkey}: ${name}`;
    return html`<li><div>${what}</div>
<form method="post" action="/account/second-factors/remove">${hidden('id', id)}<button class="quiet" type="submit" aria-label="${texts.unlink}: ${what}">${texts.unlink}</button></form></li>
`;
  });
  const codes = html`<form class="more" method="post" action="/account/recovery-codes"><button class="quiet" type="submit">${texts.newRecoveryCodes}</button> <span class="soft">${fill(texts.recoveryCodesLeft, { left: codesLeft })}</span></form>`;
  return html`<h2 id="second-factors">${texts.secondFactorsTitle}</h2>
<p class="soft">${texts.secondFactorsText}</p>
${factors.length > 0 && html`<ul class="rows">${rows}</ul>`}
<form class="more" method="post" action="/account/authenticator"><button class="quiet" type="submit">${texts.addAuthenticator}</button></form>
${passkeyForm(texts, { does: 'create', action: '/account/passkeys', options: '/account/passkeys/options', button: texts.addPasskey })}
${factors.length > 0 && codes}`;
}

async function appPage(texts: Texts, { uri, text }: BegunTotp, note?: Html): Promise<Page> {
  const { encodeQR } = await import('qr');
  return {
    title: texts.addAuthenticator,
    body: html`<h1>${texts.addAuthenticator}</h1>${note}
<p>${texts.scanText}</p>
<div class="qr" role="img" aria-label="${texts.qrLabel}">${raw(encodeQR(uri, 'svg'))}</div>
<p>${texts.typeText}<br><code>${text.match(/.{1,4}/g)?.join(' ')}</code></p>
<form method="post" action="/account/authenticator/confirm">
${codeField(texts.appCodeField, !note)}
<button type="submit">${texts.confirm}</button>
</form>
<p class="aside"><a href="/account">${texts.toAccount}</a></p>`,
  };
}

function codesPage(texts: Texts, codes: string[]): Page {
  return {
    title: texts.recoveryCodesTitle,
    body: html`<h1>${texts.recoveryCodesTitle}</h1>${note('status', texts.recoveryCodesText)}
<ul class="codes">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
<p class="aside"><a href="/account">${texts.codesKept}</a></p>`,
  };
}
