/** `/sign-up`: as far as REGISTRATION allows. */
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import type { Providers } from '../identities/providers.ts';
import type { Limits } from '../limits/limits.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import {
  admitRegistration,
  prepareUser,
  register,
  registerPrivately,
  type SettingPasswords,
} from '../users/register.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import { showPage, takeForm } from './forms.ts';
import { providerLinks } from './providers.ts';
import { field, hidden, type Page, sendPage, within } from './show.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import { letIn, openFor, type PageWorld, tenantOf } from './world.ts';

export interface SignUpWorld extends PageWorld, LetterWorld, SettingPasswords {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  publicUrl: string;
  registration: 'open' | 'private' | 'closed';
  limits: Limits;
  providers: Providers;
  wakeWorkers: () => void;
}

export function signUpRoutes(world: SignUpWorld): Routes {
  return (app) => {
    showPage(app, {
      path: '/sign-up',
      summary: 'Create an account',
      page: (texts, { server }) =>
        world.registration === 'closed' ? closedPage(texts, server) : signUpPage(world, texts, { server }),
    });

    takeForm(app, world, {
      path: '/sign-up',
      summary: 'Create an account: registers, and signs in unless REGISTRATION is private',
      fields: ['email', 'password'],
      act: async (request, reply, { email, password, server }) => {
        await admitRegistration(world, request.ip);
        const tenant = await tenantOf(world, server);
        const newUser = await prepareUser(world, tenant.id, { email, password });
        const inLanguages = inLanguagesOf(request, world);
        const { ip } = request;
        if (world.registration === 'private') {
          await world.db.begin((tx) => registerPrivately(inLanguages, tx, newUser, { ip }));
          world.wakeWorkers();
          const texts = textsFor(request);
          return sendPage(reply, texts, letterPage(texts));
        }
        const cookie = await world.db.begin(async (tx) => {
          const { user } = await register(inLanguages, tx, newUser, { ip });
          return openFor(world, request)(tx, { user, tenant, methods: ['pwd'] });
        });
        world.wakeWorkers();
        return letIn(world, reply, cookie, '/verify');
      },
      again: (texts, note, { email, server }) => signUpPage(world, texts, { server, note, email }),
    });
  };
}

function signUpPage(
  world: SignUpWorld,
  texts: Texts,
  { server, note, email }: { server?: string | undefined; note?: Html; email?: string },
): Page {
  return {
    title: texts.signUpTitle,
    body: html`<h1>${texts.signUpTitle}</h1>${note}
<form method="post" action="/sign-up">${hidden('server', server)}
${field({ name: 'email', label: texts.emailField, type: 'email', autocomplete: 'email', value: email, isFirst: !note })}
${field({ name: 'password', label: texts.choosePassword, type: 'password', autocomplete: 'new-password' })}
<button type="submit">${texts.signUp}</button>
</form>
${providerLinks(world, texts, server)}
<p class="aside"><a href="${within(server, '/sign-in')}">${texts.haveAccount}</a></p>`,
  };
}

function closedPage(texts: Texts, server: string | undefined): Page & { status: number } {
  return {
    status: 403,
    title: texts.signUpTitle,
    body: html`<h1>${texts.signUpTitle}</h1>
<p>${texts.faults['users.registration_closed']}</p>
<p class="aside"><a href="${within(server, '/sign-in')}">${texts.haveAccount}</a></p>`,
  };
}

/** Says the same whether or not the address was known (S3). */
function letterPage(texts: Texts): Page {
  return {
    title: texts.codeSentTitle,
    body: html`<h1>${texts.codeSentTitle}</h1><p role="status">${texts.signUpLetterSent}</p>`,
  };
}
