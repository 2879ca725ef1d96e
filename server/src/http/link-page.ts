/** The pages around a link from a letter: one with a button, and what its press has come to. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PosternError } from '../errors.ts';
import { html, page } from './page.ts';

/**
 * What a link opens. Mail scanners open every link, so it changes nothing: only its button, a POST to `action`, does.
 * The token is not even looked up.
 */
export function buttonPage(link: {
  title: string;
  text: string;
  button: string;
  action: string;
  token: string;
}): string {
  return page({
    title: link.title,
    body: html`<main class="narrow">
<h1>${link.title}</h1>
<p>${link.text}</p>
<form method="post" action="${link.action}">
<input type="hidden" name="token" value="${link.token}">
<button type="submit">${link.button}</button>
</form>
</main>`,
  });
}

/** What the link of a forgotten password opens. Like `buttonPage` it changes nothing. */
export function passwordPage(action: string, token: string): string {
  const title = 'Set a new password';
  return page({
    title,
    body: html`<main class="narrow">
<h1>${title}</h1>
<form method="post" action="${action}">
<input type="hidden" name="token" value="${token}">
<p><label for="password">New password, at least 8 characters</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="8" maxlength="1024" required autofocus></p>
<button type="submit">Set the password</button>
</form>
</main>`,
  });
}

/** A form is sent by a page and wants one back, a program gets JSON; `Accept` may say otherwise. */
export function wantsPage({ headers }: FastifyRequest): boolean {
  const accept = headers.accept ?? '';
  if (accept.includes('text/html')) return true;
  return /^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '') && !accept.includes('json');
}

export function sendOutcome(reply: FastifyReply, { title, text }: { title: string; text: string }) {
  return sendPage(reply, 200, title, text);
}

/** Shows an error that the reader is meant to see; hands on any other. */
export function sendFault(reply: FastifyReply, error: unknown) {
  if (!(error instanceof PosternError) || error.status >= 500) throw error;
  if (error.details.headers) reply.headers(error.details.headers);
  return sendPage(reply, error.status, error.title, error.details.detail);
}

function sendPage(reply: FastifyReply, status: number, title: string, text: string | undefined) {
  const document = page({
    title,
    body: html`<main class="narrow">
<h1>${title}</h1>
<p>${text}</p>
</main>`,
  });
  return (
    reply
      .code(status)
      .type('text/html')
      // The route's response schema is the one of its JSON.
      .serializer((body: string) => body)
      .send(document)
  );
}
