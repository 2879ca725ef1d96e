/** The pages around links from letters, whose routes stand with the features. */
import { Type } from 'typebox';
import type { LinkPages, PasswordLink } from '../http/link-pages.ts';
import { wantsPage } from '../http/link-pages.ts';
import { type Html, html } from '../http/page.ts';
import { toPosternError } from '../http/problem.ts';
import { field, hidden, isOurs, noteOf, type Page, sendPage, showFault } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';

export const tokenQuery = Type.Object({ token: Type.String({ maxLength: 256 }) });

export const linkPages: LinkPages = {
  button: (request, reply, { about, action, token, address = '' }) => {
    const texts = textsFor(request);
    const { title, text, button } = texts.links[about];
    return sendPage(reply, texts, buttonPage({ title, text: fill(text, { address }), button, action, token }));
  },
  password: (request, reply, link) => {
    const texts = textsFor(request);
    return sendPage(reply, texts, passwordPage(texts, link));
  },
  outcome: (request, reply, outcome) => {
    const texts = textsFor(request);
    const { title, text } = texts.outcomes[outcome];
    const isAboutAccount = outcome !== 'unsubscribed';
    const body = html`<h1>${title}</h1><p role="status">${text}</p>
${isAboutAccount && html`<p><a href="/account">${texts.accountTitle}</a></p>`}`;
    return sendPage(reply, texts, { title, body });
  },
  fault: showFault,
  passwordFault: (about) => (error, request, reply) => {
    const problem = toPosternError(error);
    const token = (request.body as { token?: unknown } | undefined)?.token;
    const isOver = problem.code.startsWith('challenges.') || typeof token !== 'string';
    if (isOver || isOurs(problem) || !wantsPage(request)) return showFault(error, request, reply);
    const texts = textsFor(request);
    const { status, note } = noteOf(texts, reply, problem);
    return sendPage(reply, texts, { status, ...passwordPage(texts, { about, token }, note) });
  },
};

interface Button {
  title: string;
  text: string;
  button: string;
  action: string;
  token: string;
}

export function buttonPage({ title, text, button, action, token }: Button): Page {
  return {
    title,
    body: html`<h1>${title}</h1>
<p>${text}</p>
<form method="post" action="${action}">${hidden('token', token)}
<button type="submit">${button}</button>
</form>`,
  };
}

function passwordPage(texts: Texts, { about, token }: { about: PasswordLink; token: string }, note?: Html): Page {
  const password = { name: 'password', type: 'password', autocomplete: 'new-password' } as const;
  if (about === 'reset') {
    const title = texts.resetTitle;
    return {
      title,
      body: html`<h1>${title}</h1>${note}
<form method="post" action="/auth/password/reset">${hidden('token', token)}
${field({ ...password, label: texts.newPassword, isFirst: !note })}
<button type="submit">${texts.setPassword}</button>
</form>`,
    };
  }
  const title = texts.invitationTitle;
  return {
    title,
    body: html`<h1>${title}</h1>${note}
<form method="post" action="/auth/invitation">${hidden('token', token)}
${field({ name: 'name', label: texts.ownName, autocomplete: 'name', isFirst: !note, isOptional: true })}
${field({ ...password, label: texts.choosePassword })}
<button type="submit">${texts.signUp}</button>
</form>`,
  };
}
