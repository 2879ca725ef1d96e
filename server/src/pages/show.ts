/** How a page is put together: its frame, what went wrong, fields. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PosternError } from '../errors.ts';
import { wantsPage } from '../http/link-pages.ts';
import { type Html, html, page } from '../http/page.ts';
import { sendProblem, toPosternError } from '../http/problem.ts';
import type { Texts } from './texts/en.ts';
import { faultText, fill, textsFor } from './texts/texts.ts';

export interface Page {
  title: string;
  body: Html;
  /** Path of a script of ours. */
  script?: string;
}

export function sendPage(
  reply: FastifyReply,
  texts: Texts,
  { title, body, script, status = 200 }: Page & { status?: number },
) {
  return (
    reply
      .code(status)
      .type('text/html')
      // Where a call answers programs as well, its response schema is the one of its JSON.
      .serializer((text: string) => text)
      .send(
        page({
          title,
          language: texts.language,
          ...(script && { script }),
          body: html`<main class="narrow">${body}</main>`,
        }),
      )
  );
}

/**
 * A note at the top of a page. It takes the focus from the first field: so it is read aloud, and is not below the fold
 * where a long page is shown again.
 */
export function note(kind: 'alert' | 'status', text: string): Html {
  return html`<p class="note${kind === 'alert' && ' bad'}" tabindex="-1" autofocus role="${kind}">${text}</p>`;
}

/** What went wrong, above the form that is shown again. Faults of ours are not shown but handed on. */
export function noteOf(texts: Texts, reply: FastifyReply, error: unknown): { status: number; note: Html } {
  if (!(error instanceof PosternError) || isOurs(error)) throw error;
  const { retryAfterSeconds } = error.details;
  if (retryAfterSeconds !== undefined) reply.header('Retry-After', String(Math.max(1, Math.ceil(retryAfterSeconds))));
  return { status: error.status, note: note('alert', faultText(texts, error)) };
}

/** An error handler: a page of its own for what no form can be shown again for. Programs get the problem. */
export function showFault(error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const problem = toPosternError(error);
  if (!wantsPage(request) || isOurs(problem)) return sendProblem(error, request, reply);
  const texts = textsFor(request);
  const { status, note: alert } = noteOf(texts, reply, problem);
  if (problem.details.headers) reply.headers(problem.details.headers);
  const body = html`<h1>${texts.faultTitle}</h1>${alert}
<p><a href="/sign-in">${texts.toSignIn}</a></p>`;
  return sendPage(reply, texts, { status, title: texts.faultTitle, body });
}

export function isOurs({ status }: PosternError): boolean {
  return status >= 500 && status !== 503;
}

export interface Field {
  name: string;
  label: string;
  type?: 'text' | 'email' | 'password';
  autocomplete?: string;
  value?: string | undefined;
  isFirst?: boolean;
  isOptional?: boolean;
}

export function field({
  name,
  label,
  type = 'text',
  autocomplete = 'off',
  value = '',
  isFirst,
  isOptional,
}: Field): Html {
  // What browsers check before they send: a courtesy, the rule stands with the operation.
  const length = autocomplete === 'new-password' && html` minlength="8"`;
  return html`<p><label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" value="${value}"${length}${!isOptional && html` required`}${isFirst && html` autofocus`}></p>
`;
}

/** A code is digits: phones show keys for them, and it is never a word to be corrected. */
export function codeField(label: string, isFirst: boolean): Html {
  return html`<p><label for="code">${label}</label>
<input class="code" id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="32" required${isFirst && html` autofocus`}></p>
`;
}

export function hidden(name: string, value: string | undefined): Html | undefined {
  return value === undefined ? undefined : html`<input type="hidden" name="${name}" value="${value}">`;
}

/** A path of ours that stays with the tenant of the page. */
export function within(server: string | undefined, path: string): string {
  return server === undefined ? path : `${path}?${new URLSearchParams({ server })}`;
}

/** What an application may do, in words. */
export function scopeText({ scopes, otherScope }: Texts, scope: string): string {
  return Object.hasOwn(scopes, scope) ? scopes[scope as keyof typeof scopes] : fill(otherScope, { scope });
}
