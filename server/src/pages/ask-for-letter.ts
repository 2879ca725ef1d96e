/** Pages that take an address and send a letter there: to sign in by, and to set a new password. */
import type { FastifyRequest } from 'fastify';
import { inEvenTime } from '../challenges/even-time.ts';
import { type Html, html } from '../http/page.ts';
import type { App } from '../http/server.ts';
import { readEmail } from '../users/user.ts';
import { showPage, takeForm } from './forms.ts';
import { field, hidden, type Page, sendPage, within } from './show.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import { type PageWorld, tenantOf } from './world.ts';

interface LetterPage<Sent> {
  path: string;
  summary: string;
  words: (texts: Texts) => { title: string; text?: string; button: string };
  send: (request: FastifyRequest, to: { tenantId: string; emailNormalized: string; ip: string }) => Promise<Sent>;
  /** Says the same whether or not the address is somebody's (S2). */
  sent: (texts: Texts, sent: Sent) => Page;
}

export function askForLetter<Sent>(
  app: App,
  world: PageWorld,
  { path, summary, words, send, sent }: LetterPage<Sent>,
): void {
  const page = (texts: Texts, server: string | undefined, note?: Html): Page => {
    const { title, text, button } = words(texts);
    return {
      title,
      body: html`<h1>${title}</h1>${note}
${text !== undefined && html`<p>${text}</p>`}
<form method="post" action="${path}">${hidden('server', server)}
${field({ name: 'email', label: texts.emailField, type: 'email', autocomplete: 'email', isFirst: !note })}
<button type="submit">${button}</button>
</form>
<p class="aside"><a href="${within(server, '/sign-in')}">${texts.byPassword}</a></p>`,
    };
  };
  showPage(app, { path, summary, page: (texts, { server }) => page(texts, server) });
  takeForm(app, world, {
    path,
    summary: `${summary}: asks for the letter`,
    fields: ['email'],
    act: async (request, reply, { email, server }) => {
      const { emailNormalized } = readEmail(email);
      const { id: tenantId } = await tenantOf(world, server);
      const done = await inEvenTime(() => send(request, { tenantId, emailNormalized, ip: request.ip }));
      const texts = textsFor(request);
      return sendPage(reply, texts, sent(texts, done));
    },
    again: (texts, note, { server }) => page(texts, server, note),
  });
}
