/**
 * The pages that people see: signing in, and the account. Plain HTML forms that work without JavaScript, in the language
 * of the browser. This folder owns no data and no rules; each page calls the operation that the API calls.
 */
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import { defineError, PosternError } from '../errors.ts';
import { readCookie, setCookie } from '../http/cookies.ts';
import { type Html, html, page } from '../http/page.ts';
import type { BrowserWorld } from '../sessions/browser-session.ts';
import type { Texts } from './texts/en.ts';
import { faultText } from './texts/texts.ts';

export interface PageWorld extends BrowserWorld {
  publicUrl: string;
}

const cookie = 'session';
const foreignForm = defineError('http.foreign_form', 403, 'This form was sent by another site');

export function sessionCookie({ publicUrl }: PageWorld, request: FastifyRequest): string | undefined {
  return readCookie(request, cookie, publicUrl.startsWith('https:'));
}

/** @param value empty to sign the browser out */
export function setSessionCookie({ publicUrl, sessionSeconds }: PageWorld, reply: FastifyReply, value: string): void {
  setCookie(reply, cookie, value, { seconds: sessionSeconds, isHttps: publicUrl.startsWith('https:') });
}

/** A hook for forms: a browser says which site sent one, and only our own may (S39). */
export function ownFormsOnly({ publicUrl }: PageWorld): onRequestAsyncHookHandler {
  return async ({ headers }) => {
    const { origin, host, 'sec-fetch-site': site } = headers;
    // The browser's own word, where it gives it.
    if (site === 'same-origin') return;
    if (site === undefined && (origin === undefined || origin === new URL(publicUrl).origin)) return;
    if (site === undefined && URL.canParse(origin ?? '') && new URL(origin ?? '').host === host) return;
    throw foreignForm({ detail: 'Open the page here and send it again.' });
  };
}

export const formConsumes = ['application/x-www-form-urlencoded'];

export function sendPage(
  reply: FastifyReply,
  texts: Texts,
  { status = 200, title, body }: { status?: number; title: string; body: Html },
) {
  return reply
    .code(status)
    .type('text/html')
    .send(page({ title, language: texts.language, body: html`<main class="narrow">${body}</main>` }));
}

/** What went wrong, above the form that is shown again. Faults of ours are not shown but handed on. */
export function noteOf(texts: Texts, error: unknown): { status: number; note: Html } {
  if (!(error instanceof PosternError) || (error.status >= 500 && error.status !== 503)) throw error;
  return { status: error.status, note: html`<p class="bad" role="alert">${faultText(texts, error)}</p>` };
}

export interface Field {
  name: string;
  label: string;
  type?: 'text' | 'email' | 'password';
  autocomplete?: string;
  value?: string | undefined;
  isFirst?: boolean;
}

export function field({ name, label, type = 'text', autocomplete = 'off', value, isFirst }: Field): Html {
  return html`<p><label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" value="${value ?? ''}" required${isFirst ? html` autofocus` : ''}></p>
`;
}

export function hidden(name: string, value: string | undefined): Html | undefined {
  return value === undefined ? undefined : html`<input type="hidden" name="${name}" value="${value}">`;
}
