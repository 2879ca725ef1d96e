/** `/oauth/interaction/…`: where somebody signs in for an application, and says what it may do. */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, html } from '../http/page.ts';
import type { Routes } from '../http/server.ts';
import { apisOf } from '../oauth/grant-store.ts';
import {
  findInteraction,
  finishConsent,
  finishLogin,
  type Interaction,
  type InteractionWorld,
  judgeLogin,
  refuse,
} from '../oauth/provider/interactions.ts';
import { type BrowserCaller, browserCaller, findContinuation, setContinuation } from '../sessions/browser-session.ts';
import { preferLanguages, uiLocales } from '../templates/languages.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { findUser } from '../users/create-user.ts';
import { stepUpPath, takeOwnForm } from './forms.ts';
import { hidden, type Page, scopeText, sendPage, showFault } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';
import { goOn, type PageWorld } from './world.ts';

export interface InteractionPageWorld extends PageWorld, InteractionWorld {
  db: PageWorld['db'];
  secrets: PageWorld['secrets'];
  refreshTokenSeconds: number;
  sessionSeconds: number;
  tenantSlug: TenantDirectory['tenantSlug'];
}

const path = '/oauth/interaction/:uid';

export function interactionRoutes(world: InteractionPageWorld): Routes {
  return (app) => {
    // On whichever page the user is until the client has them back, and in the letters that come of it.
    app.addHook('onRequest', (request, _reply, done) => {
      // Programs, which bring no cookie, are not looked at any further.
      const mayBe = request.headers.cookie !== undefined || request.url.includes('ui_locales');
      if (mayBe) preferLanguages(request, wishedLanguages(world, request));
      done();
    });

    app.get(
      path,
      {
        errorHandler: showFault,
        schema: { tags: ['Pages'], summary: 'Sign in for an application', produces: ['text/html'] },
      },
      async (request, reply) => {
        const interaction = await findInteraction(world, request, reply);
        preferLanguages(request, uiLocales(interaction.uiLocales));
        const caller = await browserCaller(world, request);
        if (interaction.prompt === 'login') return signIn(world, request, reply, interaction, caller);
        // Signed out meanwhile.
        if (caller?.tenantId !== interaction.client.tenantId) return toSignIn(world, reply, interaction);
        setContinuation(world, reply, wayTo(interaction));
        const texts = textsFor(request);
        return sendPage(reply, texts, await consentPage(world, texts, interaction, caller));
      },
    );

    takeOwnForm(app, world, {
      path,
      summary: 'Say whether an application may',
      fields: ['decision', 'token'],
      act: async (request, reply, caller, { decision, token }) => {
        const interaction = await findInteraction(world, request, reply);
        setContinuation(world, reply, undefined);
        const texts = textsFor(request);
        const isMeant =
          interaction.prompt === 'consent' &&
          caller.tenantId === interaction.client.tenantId &&
          isTokenOf(world, interaction, caller, token);
        if (decision === 'allow' && isMeant) {
          const to = await finishConsent(world, request, reply, { caller, interaction });
          return goOn(reply, texts, to);
        }
        // Whoever has signed in here meanwhile is asked themselves.
        if (decision === 'allow') return reply.redirect(`/oauth/interaction/${interaction.uid}`, 303);
        const error = { error: 'access_denied', error_description: 'The user does not allow it.' };
        return goOn(reply, texts, await refuse(world, request, reply, error));
      },
      again: async (texts, note) => ({ title: texts.faultTitle, body: html`<h1>${texts.faultTitle}</h1>${note}` }),
    });
  };
}

async function signIn(
  world: InteractionPageWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  interaction: Interaction,
  caller: BrowserCaller | undefined,
) {
  const judged = judgeLogin(interaction, caller);
  if (judged === 'sign-in' || !caller) return toSignIn(world, reply, interaction);
  if (judged === 'step-up') {
    setContinuation(world, reply, wayTo(interaction));
    return reply.redirect(stepUpPath, 303);
  }
  setContinuation(world, reply, undefined);
  const texts = textsFor(request);
  if (judged === 'unmet') {
    const error_description = 'The user has no second factor.';
    const error = { error: 'unmet_authentication_requirements', error_description };
    return goOn(reply, texts, await refuse(world, request, reply, error));
  }
  return goOn(reply, texts, await finishLogin(world, request, reply, caller));
}

/** Those that a client asks for in this call, or asked for as it sent the browser here. */
function wishedLanguages(world: PageWorld, request: FastifyRequest): string[] {
  const { ui_locales: asked } = request.query as { ui_locales?: unknown };
  if (asked !== undefined) return uiLocales(asked);
  const onTheWay = findContinuation(world, request);
  const { uid } = request.params as { uid?: string };
  return onTheWay && (uid === undefined || uid === onTheWay.uid) ? onTheWay.languages : [];
}

function wayTo({ uid, uiLocales: asked }: Interaction) {
  return { uid, languages: uiLocales(asked) };
}

/** Whichever way in the user takes then, it leads back here. */
async function toSignIn(world: InteractionPageWorld, reply: FastifyReply, interaction: Interaction) {
  const { client, loginHint } = interaction;
  setContinuation(world, reply, wayTo(interaction));
  const query = new URLSearchParams({
    server: await world.tenantSlug(client.tenantId),
    ...(loginHint !== undefined && { login_hint: loginHint.slice(0, 320) }),
  });
  return reply.redirect(`/sign-in?${query}`, 303);
}

async function consentPage(
  world: InteractionPageWorld,
  texts: Texts,
  interaction: Interaction,
  caller: BrowserCaller,
): Promise<Page> {
  const { uid, client, asks, redirectUri } = interaction;
  const user = await findUser(world.db, caller.tenantId, { id: caller.id });
  const name = client.metadata.client_name ?? client.clientId;
  const title = fill(texts.consentTitle, { client: name });
  const rows = [
    ...asks.scopes.map((scope) => scopeText(texts, scope)),
    ...(asks.claims.length > 0 ? [fill(texts.claimScope, { claims: asks.claims.join(', ') })] : []),
    ...apisOf(asks)
      .filter((one) => one !== world.publicUrl)
      .map((resource) => fill(texts.resourceScope, { resource })),
  ];
  return {
    title,
    body: html`<h1>${title}</h1>
<p>${fill(texts.consentText, { client: name, name: user.email ?? user.username ?? '' })}</p>
<ul>${rows.map((row) => html`<li>${row}</li>`)}</ul>
${links(client.metadata)}
${redirectUri !== undefined && html`<p class="soft">${fill(texts.consentWhere, { host: whereTo(redirectUri) })}</p>`}
<form method="post" action="/oauth/interaction/${uid}">${hidden('token', tokenOf(world, interaction, caller))}
<p><button type="submit" name="decision" value="allow">${texts.allow}</button>
<button class="quiet" type="submit" name="decision" value="deny">${texts.deny}</button></p>
</form>
<p class="aside"><a href="/sign-in?${new URLSearchParams({ server: await world.tenantSlug(client.tenantId) })}">${texts.anotherAccount}</a></p>`,
  };
}

function links({
  client_uri,
  policy_uri,
  tos_uri,
}: {
  client_uri?: string;
  policy_uri?: string;
  tos_uri?: string;
}): Html {
  const known = [client_uri, policy_uri, tos_uri].filter((uri) => uri !== undefined);
  return html`${known.length > 0 && html`<p class="soft">${known.map((uri) => html`<a href="${uri}" rel="noreferrer">${uri}</a><br>`)}</p>`}`;
}

/** A program that is installed has no host but a scheme of its own. */
function whereTo(redirectUri: string): string {
  const { host, protocol } = new URL(redirectUri);
  return host || protocol.slice(0, -1);
}

/** Shows that a consent was given on the page that this user was shown (S34). */
function tokenOf({ secrets }: InteractionPageWorld, { uid }: Interaction, { sessionId }: BrowserCaller): string {
  return secrets.hmac('consent', `${uid} ${sessionId}`).toString('base64url');
}

function isTokenOf(
  world: InteractionPageWorld,
  interaction: Interaction,
  caller: BrowserCaller,
  token: string,
): boolean {
  const expected = Buffer.from(tokenOf(world, interaction, caller));
  const given = Buffer.from(token);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
