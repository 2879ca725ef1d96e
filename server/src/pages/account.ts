/** `/account`: what users see and do about themselves. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import type { Providers } from '../identities/providers.ts';
import { identitiesOf } from '../identities/store.ts';
import { unlink } from '../identities/unlink.ts';
import { consentsOf } from '../oauth/grant-store.ts';
import { type GrantWorld, withdrawConsent } from '../oauth/grants.ts';
import type { InteractionWorld } from '../oauth/provider/interactions.ts';
import { factorsOf, recoveryCodesLeft } from '../second-factors/store.ts';
import { type BrowserCaller, setSessionCookie } from '../sessions/browser-session.ts';
import { deleteSession, logout } from '../sessions/logout.ts';
import type { Revocations } from '../sessions/revocations.ts';
import { liveSessions } from '../sessions/store.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { type ChangeWorld, requestEmailChange } from '../users/change-email.ts';
import { changePassword } from '../users/change-password.ts';
import { findUser } from '../users/create-user.ts';
import { type DeleteWorld, deleteUser } from '../users/delete-user.ts';
import { type ExportWorld, exportUser } from '../users/export-user.ts';
import type { SettingPasswords } from '../users/register.ts';
import { accountPage } from './account-page.ts';
import { type OwnForm, showOwnPage, takeOwnForm } from './forms.ts';
import { type FactorPagesWorld, factorPageRoutes } from './second-factors.ts';
import { note, type Page, sendPage } from './show.ts';
import { type StepUpPageWorld, stepUpPageRoutes } from './step-up.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import type { PageWorld } from './world.ts';

/** `/account` with a note above it. */
export type AccountPage = (texts: Texts, note: Html | undefined, caller: BrowserCaller) => Promise<Page>;

export interface AccountWorld
  extends PageWorld,
    FactorPagesWorld,
    StepUpPageWorld,
    ChangeWorld,
    DeleteWorld,
    ExportWorld,
    SettingPasswords,
    GrantWorld {
  findClient: InteractionWorld['findClient'];
  refreshTokenSeconds: number;
  sessionSeconds: number;
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
  revocations: Revocations;
  providers: Providers;
}

export function accountRoutes(world: AccountWorld): Routes {
  const userOf = ({ tenantId, id }: BrowserCaller) => findUser(world.db, tenantId, { id });
  const pageOf: AccountPage = async (texts, note, caller) =>
    accountPage(texts, {
      user: await userOf(caller),
      sessions: await liveSessions(world.db, caller.id, { limit: 50 }),
      sessionId: caller.sessionId,
      identities: await identitiesOf(world.db, caller.id),
      providers: world.providers,
      factors: await factorsOf(world.db, caller.id),
      codesLeft: await recoveryCodesLeft(world.db, caller.id),
      applications: await consentsOf(world.db, caller.id),
      note,
    });
  const say = async (
    request: FastifyRequest,
    reply: FastifyReply,
    caller: BrowserCaller,
    text: 'passwordChanged' | 'emailAsked' | 'unlinked' | 'withdrawn',
  ) => {
    const texts = textsFor(request);
    return sendPage(reply, texts, await pageOf(texts, note('status', texts[text]), caller));
  };

  return (app) => {
    factorPageRoutes(world, pageOf)(app);
    stepUpPageRoutes(world)(app);
    const take = <const Name extends string>(form: Omit<OwnForm<Name>, 'again'>) =>
      takeOwnForm(app, world, { ...form, again: pageOf });

    showOwnPage(app, world, { path: '/account', summary: 'The account' }, async (request, reply, caller) => {
      const texts = textsFor(request);
      return sendPage(reply, texts, await pageOf(texts, undefined, caller));
    });

    showOwnPage(
      app,
      world,
      { path: '/account/export', summary: 'Everything that is known about them', produces: 'application/json' },
      async (_request, reply, caller) => {
        const user = await userOf(caller);
        return reply
          .type('application/json')
          .header('Content-Disposition', `attachment; filename="user-${user.id}.json"`)
          .send(Readable.from(exportUser(world, user)));
      },
    );

    for (const [path, summary, everywhere] of [
      ['/account/sign-out', 'Sign out', false],
      ['/account/sign-out-everywhere', 'Sign out everywhere', true],
    ] as const) {
      take({
        path,
        summary,
        fields: [],
        act: async (_request, reply, caller) => {
          await logout(world, caller, everywhere);
          setSessionCookie(world, reply, '');
          return reply.redirect('/sign-in', 303);
        },
      });
    }

    take({
      path: '/account/sessions/end',
      summary: 'End another session',
      fields: ['id'],
      act: async (_request, reply, caller, { id }) => {
        if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) await deleteSession(world, caller, id);
        return reply.redirect('/account', 303);
      },
    });

    take({
      path: '/account/identities/unlink',
      summary: 'Sign in with an outside account no more',
      fields: ['id'],
      act: async (request, reply, caller, { id }) => {
        await unlink(world, caller, id);
        return say(request, reply, caller, 'unlinked');
      },
    });

    take({
      path: '/account/applications/withdraw',
      summary: 'Take back what an application was allowed',
      fields: ['client_id'],
      act: async (request, reply, caller, { client_id: clientId }) => {
        const client = await world.findClient(clientId);
        if (client?.tenantId === caller.tenantId) await withdrawConsent(world, { userId: caller.id, client });
        return say(request, reply, caller, 'withdrawn');
      },
    });

    take({
      path: '/account/password',
      summary: 'Change the password',
      fields: ['current_password', 'new_password'],
      act: async (request, reply, caller, { current_password: current, new_password: next }) => {
        await changePassword(inLanguagesOf(request, world), caller, { current, next, ip: request.ip });
        return say(request, reply, caller, 'passwordChanged');
      },
    });

    take({
      path: '/account/email',
      summary: 'Change the e-mail address',
      fields: ['email', 'password'],
      act: async (request, reply, caller, { email, password }) => {
        await requestEmailChange(inLanguagesOf(request, world), caller, { email, password, ip: request.ip });
        return say(request, reply, caller, 'emailAsked');
      },
    });

    take({
      path: '/account/delete',
      summary: 'Delete the account',
      fields: ['word'],
      act: async (request, reply, caller, { word }) => {
        const texts = textsFor(request);
        if (word.trim().toLowerCase() !== texts.deleteWord) {
          const page = await pageOf(texts, note('alert', texts.deleteMismatch), caller);
          return sendPage(reply, texts, { status: 400, ...page });
        }
        await deleteUser(world, await userOf(caller), caller.name);
        setSessionCookie(world, reply, '');
        const body = html`<h1>${texts.deletedTitle}</h1><p role="status">${texts.deletedText}</p>`;
        return sendPage(reply, texts, { title: texts.deletedTitle, body });
      },
    });
  };
}
