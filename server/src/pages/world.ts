/**
 * The pages that people see: signing up and in, proving an address, the account. Plain HTML forms that work without
 * JavaScript, in the language of the browser. This folder owns no data and no rules; each page calls the operation that
 * the API calls. Its texts are one file per language.
 */
import type { FastifyReply, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { Queryable } from '../database/database.ts';
import { defineError } from '../errors.ts';
import { html } from '../http/page.ts';
import { type BrowserWorld, enter, openBrowserSession } from '../sessions/browser-session.ts';
import type { Login } from '../sessions/create-session.ts';
import { type SecondFactorOwed, unlessFactorOwed } from '../sessions/sign-in.ts';
import { namedTenant, type Tenant, type TenantDirectory } from '../tenants/tenants.ts';
import { originOf } from '../users/user.ts';
import { sendPage } from './show.ts';
import type { Texts } from './texts/en.ts';

export interface PageWorld extends BrowserWorld {
  resolveTenant: TenantDirectory['resolveTenant'];
}

const foreignForm = defineError('http.foreign_form', 403, 'This form was sent by another site');

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

/** The tenant that the field `server` of a form names. @throws unknownTenant, invalidRequest */
export function tenantOf({ resolveTenant }: PageWorld, server: string | undefined): Promise<Tenant> {
  return resolveTenant(namedTenant(undefined, server));
}

/** Opens the session that a browser holds, unless a second factor is owed; what comes of it is for `letIn`. */
export function openFor(world: PageWorld, request: FastifyRequest) {
  return (tx: Queryable, login: Omit<Login, 'origin'>): Promise<string | SecondFactorOwed> => {
    const opening = { ...login, origin: originOf(request) };
    return unlessFactorOwed(world, tx, opening, () => openBrowserSession(world, tx, opening));
  };
}

/** The last step of every way in. */
export function letIn(world: PageWorld, reply: FastifyReply, opened: string | SecondFactorOwed, to = '/account') {
  return reply.redirect(enter(world, reply, opened, to), 303);
}

/**
 * Sends the browser on after a form. Not by a redirect: browsers hold those to the policy of the page with the form
 * (`form-action`), and at the end of this way stands the address of an application.
 */
export function goOn(reply: FastifyReply, texts: Texts, to: string) {
  const body = html`<h1>${texts.goOnTitle}</h1><p><a class="button" href="${to}">${texts.goOn}</a></p>`;
  reply.header('Refresh', `0; url=${to}`);
  return sendPage(reply, texts, { title: texts.goOnTitle, body });
}
