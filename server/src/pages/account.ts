/** `/account`: what users see and do about themselves. */

import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Caller } from '../http/caller.ts';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { browserCaller } from '../sessions/browser-session.ts';
import { deleteSession, logout } from '../sessions/logout.ts';
import type { Revocations } from '../sessions/revocations.ts';
import { liveSessions, type SessionSummary } from '../sessions/store.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { type ChangeWorld, requestEmailChange } from '../users/change-email.ts';
import { changePassword } from '../users/change-password.ts';
import { findUser } from '../users/create-user.ts';
import { type DeleteWorld, deleteUser } from '../users/delete-user.ts';
import { type ExportWorld, exportUser } from '../users/export-user.ts';
import type { SettingPasswords } from '../users/register.ts';
import type { User } from '../users/user.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';
import {
  field,
  formConsumes,
  hidden,
  noteOf,
  ownFormsOnly,
  type PageWorld,
  sendPage,
  sessionCookie,
  setSessionCookie,
} from './world.ts';

export interface AccountWorld extends PageWorld, ChangeWorld, DeleteWorld, ExportWorld, SettingPasswords {
  db: PageWorld['db'];
  revocations: Revocations;
}

type SignedIn = Caller & { sessionId: string };

const Text = Type.String({ maxLength: 1024 });
const tags = ['Pages'];

export function accountRoutes(world: AccountWorld): Routes {
  const onRequest = ownFormsOnly(world);

  const show = async (
    request: FastifyRequest,
    reply: FastifyReply,
    caller: SignedIn,
    { status = 200, note }: { status?: number; note?: Html } = {},
  ) => {
    const texts = textsFor(request);
    const user = await findUser(world.db, caller.tenantId, { id: caller.id });
    const sessions = await liveSessions(world.db, caller.id, { limit: 50 });
    return sendPage(reply, texts, {
      status,
      title: texts.accountTitle,
      body: accountPage(texts, user, sessions, caller, note),
    });
  };

  /** A form of the account: whoever is signed in no more is sent to sign in. */
  function action<Fields extends Record<string, string>>(
    app: Parameters<Routes>[0],
    path: string,
    fields: (keyof Fields & string)[],
    act: (request: FastifyRequest, reply: FastifyReply, caller: SignedIn, fields: Fields) => Promise<unknown>,
  ) {
    const body = Type.Object(Object.fromEntries(fields.map((name) => [name, Text])), { additionalProperties: false });
    app.post(
      path,
      {
        onRequest,
        schema: {
          tags,
          summary: `The form ${path}`,
          security: [],
          consumes: formConsumes,
          produces: ['text/html'],
          body,
        },
      },
      async (request, reply) => {
        const caller = await browserCaller(world, sessionCookie(world, request));
        if (!caller) return reply.redirect('/sign-in', 303);
        try {
          return await act(request, reply, caller, request.body as unknown as Fields);
        } catch (error) {
          return show(request, reply, caller, noteOf(textsFor(request), error));
        }
      },
    );
  }

  return (app) => {
    app.get(
      '/account',
      { schema: { tags, summary: 'What users see of themselves', produces: ['text/html'] } },
      async (request, reply) => {
        const caller = await browserCaller(world, sessionCookie(world, request));
        return caller ? show(request, reply, caller) : reply.redirect('/sign-in', 302);
      },
    );

    app.get(
      '/account/export',
      { schema: { tags, summary: 'Everything that is known about them', produces: ['application/json'] } },
      async (request, reply) => {
        const caller = await browserCaller(world, sessionCookie(world, request));
        if (!caller) return reply.redirect('/sign-in', 302);
        const user = await findUser(world.db, caller.tenantId, { id: caller.id });
        return reply
          .type('application/json')
          .header('Content-Disposition', `attachment; filename="user-${user.id}.json"`)
          .send(Readable.from(exportUser(world, user)));
      },
    );

    for (const [path, everywhere] of [
      ['/account/sign-out', false],
      ['/account/sign-out-everywhere', true],
    ] as const) {
      action(app, path, [], async (_request, reply, caller) => {
        await logout(world, caller, everywhere);
        setSessionCookie(world, reply, '');
        return reply.redirect('/sign-in', 303);
      });
    }

    action<{ id: string }>(app, '/account/sessions/end', ['id'], async (_request, reply, caller, { id }) => {
      if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) await deleteSession(world, caller, id);
      return reply.redirect('/account', 303);
    });

    action<{ current_password: string; new_password: string }>(
      app,
      '/account/password',
      ['current_password', 'new_password'],
      async (request, reply, caller, { current_password: current, new_password: next }) => {
        await changePassword(inLanguagesOf(request, world), caller, { current, next, ip: request.ip });
        return show(request, reply, caller, { note: said(textsFor(request).passwordChanged) });
      },
    );

    action<{ email: string; password: string }>(
      app,
      '/account/email',
      ['email', 'password'],
      async (request, reply, caller, { email, password }) => {
        await requestEmailChange(inLanguagesOf(request, world), caller, { email, password, ip: request.ip });
        return show(request, reply, caller, { note: said(textsFor(request).emailAsked) });
      },
    );

    action<{ word: string }>(app, '/account/delete', ['word'], async (request, reply, caller, { word }) => {
      const texts = textsFor(request);
      if (word.trim().toLowerCase() !== texts.deleteWord) {
        const note = html`<p class="bad" role="alert">${texts.deleteMismatch}</p>`;
        return show(request, reply, caller, { status: 400, note });
      }
      await deleteUser(world, await findUser(world.db, caller.tenantId, { id: caller.id }), caller.name);
      setSessionCookie(world, reply, '');
      const body = html`<h1>${texts.deletedTitle}</h1><p>${texts.deletedText}</p>`;
      return sendPage(reply, texts, { title: texts.deletedTitle, body });
    });
  };
}

function said(text: string): Html {
  return html`<p role="status"><strong>${text}</strong></p>`;
}

function accountPage(
  texts: Texts,
  user: User,
  sessions: SessionSummary[],
  caller: SignedIn,
  note: Html | undefined,
): Html {
  const name = user.email ?? user.username ?? '';
  const dates = new Intl.DateTimeFormat(texts.language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  const rows = sessions.map((session) => {
    const device = session.userAgent?.slice(0, 80) ?? texts.unknownDevice;
    const at = `${dates.format(session.refreshedAt)} UTC`;
    const isThis = session.id === caller.sessionId;
    return html`<tr><td>${device}<br><span class="soft">${session.ip} · ${fill(texts.lastUsed, { at })}</span></td>
<td>${isThis ? html`<span class="soft">${texts.thisBrowser}</span>` : html`<form method="post" action="/account/sessions/end">${hidden('id', session.id)}<button class="quiet" type="submit">${texts.end}</button></form>`}</td></tr>
`;
  });
  return html`<h1>${texts.accountTitle}</h1>${note}
<p>${fill(texts.signedInAs, { name })}${user.email !== null && user.emailVerifiedAt === null && html`<br><span class="soft">${texts.notVerified}</span>`}</p>
<form method="post" action="/account/sign-out"><button type="submit">${texts.signOut}</button></form>
<h2>${texts.sessionsTitle}</h2>
<table>${rows}</table>
<form method="post" action="/account/sign-out-everywhere"><p><button class="quiet" type="submit">${texts.signOutEverywhere}</button></p></form>
<h2>${texts.passwordTitle}</h2>
<form method="post" action="/account/password">
${field({ name: 'current_password', label: texts.currentPassword, type: 'password', autocomplete: 'current-password' })}
${field({ name: 'new_password', label: texts.newPassword, type: 'password', autocomplete: 'new-password' })}
<button type="submit">${texts.changePassword}</button>
</form>
<p><a href="/forgot">${texts.forgotPassword}</a></p>
<h2>${texts.emailTitle}</h2>
<form method="post" action="/account/email">
${field({ name: 'email', label: texts.newEmail, type: 'email', autocomplete: 'email' })}
${field({ name: 'password', label: texts.currentPassword, type: 'password', autocomplete: 'current-password' })}
<button type="submit">${texts.changeEmail}</button>
</form>
<h2>${texts.dataTitle}</h2>
<p><a href="/account/export">${texts.exportData}</a></p>
<form method="post" action="/account/delete">
${field({ name: 'word', label: fill(texts.deleteText, { word: texts.deleteWord }) })}
<button class="quiet bad" type="submit">${texts.deleteAccount}</button>
</form>`;
}
