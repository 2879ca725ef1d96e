/** Where a flow waits for a person: what it waits for, and how it goes on. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type Provider from 'oidc-provider';
import type { SigningKeys } from '../../crypto/signing-keys.ts';
import type { Limit, Limits, Use } from '../../limits/limits.ts';
import { sourceOf } from '../../limits/source.ts';
import type { BrowserCaller } from '../../sessions/browser-session.ts';
import { interactionOver } from '../errors.ts';
import type { FindClient } from '../find-client.ts';
import type { Consent } from '../grant-store.ts';
import { type GrantWorld, giveConsent } from '../grants.ts';
import type { StoredClient } from '../store.ts';
import type { ProviderFor } from './provider-for.ts';

/** Each is a row that lives for an hour, whoever began it. Those that come to an end are given back. */
const begun: Limit = {
  code: 'limits.flows',
  what: 'sign-ins begun from one address and not ended',
  burst: 1_000,
  refillSeconds: 0.5,
  isBySource: true,
};

export function begunBy({ ip }: FastifyRequest): Use[] {
  return [{ limit: begun, key: sourceOf(ip) }];
}

export interface InteractionWorld extends GrantWorld {
  limits: Limits;
  keys: SigningKeys;
  providerFor: ProviderFor;
  findClient: FindClient;
}

export interface Interaction {
  uid: string;
  client: StoredClient;
  /** Who shall sign in, and how; or what they shall say yes to. */
  prompt: 'login' | 'consent';
  reasons: string[];
  loginHint: string | undefined;
  /** Undefined where a device waits. */
  redirectUri: string | undefined;
  /** What the client wants the pages to be in (`ui_locales`). */
  uiLocales: unknown;
  /** The session as it was when the flow came to wait. */
  before: { session: string | undefined; authenticatedAt: number | undefined };
  /** Whom the client expects, where it says so. */
  expectedUser: string | undefined;
  asks: Consent;
  /** Somebody has signed in on the way, who need not be whoever says yes then. */
  hasSignedIn: boolean;
}

/**
 * The interaction of this browser.
 * @throws interactionOver
 */
export async function findInteraction(
  world: InteractionWorld,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Interaction> {
  const provider = await world.providerFor(await world.keys.fresh());
  const found = await provider.interactionDetails(request.raw, reply.raw).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'SessionNotFound') throw interactionIsOver();
    throw error;
  });
  const { uid, prompt, params } = found;
  const client = await world.findClient(String(params.client_id));
  if (!client || uid !== (request.params as { uid?: string }).uid) throw interactionIsOver();
  const details = prompt.details as Record<string, unknown>;
  return {
    uid,
    client,
    prompt: prompt.name === 'login' ? 'login' : 'consent',
    reasons: prompt.reasons,
    loginHint: textOf(params.login_hint),
    redirectUri: textOf(params.redirect_uri),
    uiLocales: params.ui_locales,
    before: {
      session: details.session as string | undefined,
      authenticatedAt: details.authenticated_at as number | undefined,
    },
    expectedUser: details.expected_user as string | undefined,
    asks: details.asks as Interaction['asks'],
    hasSignedIn: found.lastSubmission?.login !== undefined,
  };
}

/** Whether whoever is at the browser now is whom the flow waited for; or what is missing. */
export function judgeLogin(
  { client, reasons, before, expectedUser }: Interaction,
  caller: BrowserCaller | undefined,
): 'done' | 'sign-in' | 'step-up' | 'unmet' {
  if (!caller || caller.tenantId !== client.tenantId) return 'sign-in';
  if (expectedUser !== undefined && caller.id !== expectedUser) return 'sign-in';
  const isAnew = caller.sessionId !== before.session || (caller.authenticatedAt ?? 0) > (before.authenticatedAt ?? 0);
  const wantsAnew = reasons.some((reason) => reason === 'login_prompt' || reason === 'max_age');
  if (wantsAnew && !isAnew) return 'step-up';
  const wantsSecond = reasons.some((reason) => reason === 'acr_values' || reason.startsWith('essential_acr'));
  if (wantsSecond && caller.level !== 'aal2') return isAnew ? 'unmet' : 'step-up';
  return 'done';
}

/** Tells the flow who has signed in. @returns where the browser goes on */
export function finishLogin(
  world: InteractionWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  caller: BrowserCaller,
): Promise<string> {
  // What somebody said before this login was not said by them.
  return finish(world, request, reply, { login: asLogin(caller) }, { mergeWithLastSubmission: false });
}

function asLogin({ id: accountId, authenticatedAt, methods: amr, level }: BrowserCaller) {
  const ts = Math.floor(authenticatedAt ?? 0);
  return { accountId, ts, amr, ...(level !== undefined && { acr: level }) };
}

/** The user has said yes, which is remembered. @returns where the browser goes on */
export async function finishConsent(
  world: InteractionWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  { caller, interaction: { client, asks, hasSignedIn } }: { caller: BrowserCaller; interaction: Interaction },
): Promise<string> {
  await giveConsent(world, { userId: caller.id, client, ...asks });
  // It is about whoever said yes, and no longer about who had signed in before them in this browser.
  return finish(world, request, reply, { ...(hasSignedIn && { login: asLogin(caller) }), consent: {} });
}

/** Nothing comes of it, and the client is told so. @returns where the browser goes on */
export function refuse(
  world: InteractionWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  error: { error: string; error_description: string },
): Promise<string> {
  return finish(world, request, reply, error);
}

async function finish(
  { keys, providerFor, limits }: InteractionWorld,
  request: FastifyRequest,
  { raw: res }: FastifyReply,
  result: Parameters<Provider['interactionResult']>[2],
  options?: Parameters<Provider['interactionResult']>[3],
): Promise<string> {
  const provider = await providerFor(await keys.fresh());
  const to = await provider.interactionResult(request.raw, res, result, options);
  limits.giveBack(begunBy(request));
  // To the path alone: what the library made of it was made from our own address.
  return new URL(to).pathname;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function interactionIsOver() {
  return interactionOver({ detail: 'It has ended, or was begun in another browser. Go back to the application.' });
}
