/**
 * The flows that users stand behind (authorization code, refresh, device code), pushed requests, userinfo, logout and
 * discovery: `oidc-provider`, certified by the OpenID Foundation, over our own sessions, users, clients, keys and database.
 * What is said here is which of its choices are ours.
 */

import type { FastifyBaseLogger } from 'fastify';
import Provider, {
  type AccessToken,
  type Configuration,
  errors,
  interactionPolicy,
  type JWK,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { KeySet } from '../../crypto/signing-keys.ts';
import { cookieName } from '../../http/cookies.ts';
import { provesSecret } from '../authenticate-client.ts';
import { acrValues, assertionAlgs, authMethods, idTokenAlgs, isOpenIdScope, noScope, openIdScopes } from '../client.ts';
import type { ReadDocument } from '../client-keys.ts';
import { grantToken, isOffline, readGrantToken } from '../grants.ts';
import { type AccountWorld, claimsByScope, makeFindAccount, type UserAccount } from './account.ts';
import { askedBy, existingGrant, isTrusted } from './existing-grant.ts';
import type { ProviderPages } from './pages.ts';
import { paths } from './paths.ts';
import { bridgeSessions, type SessionBridgeWorld, stateSeconds } from './session.ts';
import { makeStorage, type StorageWorld, Unavailable } from './storage.ts';
import { bridgeTokens, type TokenBridgeWorld } from './tokens.ts';

export interface ProviderWorld extends StorageWorld, AccountWorld, SessionBridgeWorld, TokenBridgeWorld {
  db: StorageWorld['db'];
  secrets: StorageWorld['secrets'];
  publicUrl: string;
  accessTokenSeconds: number;
  refreshTokenSeconds: number;
  sessionSeconds: number;
  oauthRegistration: 'off' | 'on';
  tenantSlug: (id: string) => Promise<string>;
  readDocument: ReadDocument;
  oauthPages: ProviderPages;
  log: FastifyBaseLogger;
}

const codeSeconds = 60;
const interactionSeconds = 3_600;
const deviceSeconds = 600;
const idTokenSeconds = 3_600;

/** An instance holds the keys of one moment: each key set has its own, and the last two or so are kept. */
export function makeProviderFor(world: ProviderWorld): (keys: KeySet) => Provider {
  const known = new WeakMap<KeySet, Provider>();
  return (keys) => {
    const provider = known.get(keys) ?? makeProvider(world, keys);
    known.set(keys, provider);
    return provider;
  };
}

function makeProvider(world: ProviderWorld, keys: KeySet): Provider {
  const { publicUrl, secrets, log } = world;
  const provider = new Provider(publicUrl, configuration(world, keys));
  // The host and the scheme of PUBLIC_URL arrive as if from a proxy (`routes.ts`), whatever the request says.
  provider.proxy = true;
  provider.silent = true;
  provider.on('server_error', (_ctx, err) => {
    if (!(err instanceof Unavailable)) log.error({ err }, 'the OAuth server failed');
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.status === 503) ctx.set('Retry-After', '1');
    const metadata = ctx.body as { scopes_supported?: readonly string[] } | undefined;
    if (ctx.path.startsWith('/.well-known/') && metadata?.scopes_supported) metadata.scopes_supported = openIdScopes;
  });
  bridgeSessions(provider, world);
  bridgeTokens(provider, world);
  // Secrets are kept as HMACs alone.
  Object.defineProperty(provider.Client.prototype, 'compareClientSecret', {
    async value(this: { clientId: string }, secret: string) {
      const client = await world.findClient(this.clientId);
      return client !== undefined && provesSecret(secrets, client, secret);
    },
  });
  // A token follows from the one before it: whoever asks twice, with the same token, gets the same next one.
  Object.defineProperty(provider.RefreshToken.prototype, 'generateTokenId', {
    value(this: { grantId: string }) {
      const former = Provider.ctx?.oidc.entities.RotatedRefreshToken?.jti;
      const named = former === undefined ? undefined : readGrantToken(secrets, former);
      return grantToken(secrets, { id: this.grantId, counter: (named?.counter ?? -1) + 1 });
    },
  });
  return provider;
}

function configuration(world: ProviderWorld, keys: KeySet): Configuration {
  const { publicUrl, oauthPages, oauthRegistration } = world;
  const isHttps = publicUrl.startsWith('https:');
  const cookie = { httpOnly: true, sameSite: 'lax', secure: isHttps, signed: false, overwrite: true } as const;
  return {
    adapter: makeStorage(world),
    jwks: { keys: privateKeys(keys) },
    routes: paths,
    findAccount: makeFindAccount(world),
    loadExistingGrant: (ctx) => existingGrant(world, ctx),
    extraTokenClaims: (ctx, token) => extraClaims(world, ctx, token as AccessToken),
    interactions: { policy: policy(world), url: (_ctx, { uid }) => `/oauth/interaction/${uid}` },
    renderError: (ctx, out) => show(ctx, oauthPages.fault(ctx.headers, out)),
    scopes: [...openIdScopes, noScope],
    claims: { ...claimsByScope, iss: null, sid: null },
    // What was asked for by scope stands in the ID token as well, so that most clients need no second call.
    conformIdTokenClaims: false,
    acrValues: [...acrValues],
    subjectTypes: ['public'],
    responseTypes: ['code'],
    clientAuthMethods: [...authMethods],
    clientDefaults: { grant_types: ['authorization_code'], response_types: ['code'] },
    enabledJWA: {
      idTokenSigningAlgValues: [...idTokenAlgs],
      clientAuthSigningAlgValues: [...assertionAlgs],
      dPoPSigningAlgValues: [...assertionAlgs],
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (_ctx, client, source) =>
      isOffline([...source.scopes], { grants: [...(client.grantTypes ?? [])] }),
    // What ends with the session is its grant.
    expiresWithSession: async () => false,
    clockTolerance: 5,
    cookies: {
      names: {
        session: cookieName('oauth', isHttps),
        interaction: 'postern-interaction',
        resume: 'postern-resume',
      },
      long: { ...cookie, path: '/' },
      short: cookie,
    },
    ttl: {
      AccessToken: (ctx, _token) => accessTokenLife(world, ctx),
      AuthorizationCode: codeSeconds,
      DeviceCode: deviceSeconds,
      IdToken: idTokenSeconds,
      Interaction: interactionSeconds,
      // Cut to the grant's life where it is read (`grants.ts`).
      RefreshToken: world.refreshTokenSeconds,
      Session: stateSeconds,
      Grant: world.sessionSeconds,
    },
    fetch: fetchBy(world.readDocument),
    features: {
      devInteractions: { enabled: false },
      claimsParameter: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // Every access token is a JWT: where no API is named, it is for Postern's own.
        defaultResource: (_ctx, _client, oneOf) =>
          oneOf === undefined || oneOf.includes(publicUrl) ? publicUrl : [...oneOf],
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => resourceServer(world, ctx, keys, resource),
      },
      deviceFlow: {
        enabled: true,
        charset: 'base-20',
        mask: '****-****',
        userCodeInputSource: (ctx, _form, _out, error) => {
          const { userCode = (ctx.req as { userCode?: unknown }).userCode, name } = (error ?? {}) as UserCodeError;
          if (error) ctx.status = 400;
          const note = error && (name === 'AbortedError' ? 'denied' : isAboutCode(error) ? 'wrong' : 'failed');
          show(ctx, oauthPages.userCode(ctx.headers, { ...formOf(ctx), userCode: textOf(userCode), note }));
        },
        userCodeConfirmSource: (ctx, _form, client, _device, userCode) =>
          show(ctx, oauthPages.userCodeConfirm(ctx.headers, { ...formOf(ctx), client: nameOf(client), userCode })),
        successSource: (ctx) => show(ctx, oauthPages.deviceDone(ctx.headers)),
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx) => {
          const { client } = ctx.oidc;
          show(ctx, oauthPages.logout(ctx.headers, { ...formOf(ctx), client: client && nameOf(client) }));
        },
        postLogoutSuccessSource: (ctx) => show(ctx, oauthPages.loggedOut(ctx.headers)),
      },
    },
    discovery: {
      service_documentation: `${publicUrl}/docs`,
      ui_locales_supported: ['en', 'de'],
      ...(oauthRegistration === 'on' && { registration_endpoint: `${publicUrl}${paths.registration}` }),
    },
  };
}

/** All that the library fetches are keys of clients. */
function fetchBy(readDocument: ReadDocument): NonNullable<Configuration['fetch']> {
  return async (url) => {
    const { text, maxAgeSeconds } = await readDocument(String(url));
    return new Response(
      text,
      maxAgeSeconds === undefined ? {} : { headers: { 'cache-control': `max-age=${maxAgeSeconds}` } },
    );
  };
}

interface UserCodeError extends Error {
  userCode?: unknown;
}

/** Whether the code was none, or is used or over; anything else went wrong elsewhere. */
function isAboutCode({ name, userCode }: UserCodeError): boolean {
  return userCode !== undefined || name === 'NoCodeError';
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function show(ctx: Pick<KoaContextWithOIDC, 'type' | 'body'>, html: string): void {
  ctx.type = 'html';
  ctx.body = html;
}

/** Of the page that is shown: the library takes it at the same address, or at one below. */
function formOf(ctx: KoaContextWithOIDC) {
  const action = ctx.oidc.route === 'end_session' ? `${paths.end_session}/confirm` : paths.code_verification;
  return { action, xsrf: String(ctx.oidc.session?.state?.secret ?? '') };
}

export function nameOf({ clientName, clientId }: { clientName?: string | undefined; clientId: string }): string {
  return clientName ?? clientId;
}

function privateKeys({ signing }: KeySet): JWK[] {
  return signing.map(({ kid, alg, privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }));
}

/** Beside what OpenID Connect asks for: nobody of another tenant, and a second factor where the client would like one. */
function policy({ findClient }: ProviderWorld) {
  const { Check, base } = interactionPolicy;
  const prompts = base();
  const login = prompts.get('login');
  login?.checks.add(
    new Check('no_account', 'the user of this browser is none of this client', 'login_required', (ctx) => {
      const { session, account } = ctx.oidc;
      return session?.accountId !== undefined && !account;
    }),
  );
  login?.checks.add(
    new Check('acr_values', 'a second factor was asked for', 'login_required', (ctx) => {
      const { session, account, params, result } = ctx.oidc;
      const wanted = String(params?.acr_values ?? '').split(' ');
      if (!wanted.includes('aal2') || wanted.includes('aal1') || session?.acr === 'aal2') return false;
      // It is a wish (OpenID Connect Core §3.1.2.1): who has none cannot fulfil it, and the token says so.
      return (account as UserAccount | undefined)?.user.hasSecondFactor === true && !result?.login;
    }),
  );
  if (login) {
    const { details } = login;
    login.details = async (ctx) => ({ ...(await details(ctx)), ...expected(ctx) });
  }
  const consent = prompts.get('consent');
  const native = consent?.checks.get('native_client_prompt');
  if (consent && native) {
    const { check } = native;
    native.check = (ctx) => !isTrusted(ctx) && check(ctx);
    consent.details = async (ctx) => {
      const client = await findClient(ctx.oidc.client?.clientId ?? '');
      return client && { asks: askedBy(ctx, client) };
    };
  }
  return prompts;
}

/** What a login is held against once it has happened (`interactions.ts`). */
function expected({ oidc: { session, entities, claims } }: KoaContextWithOIDC) {
  const { IdTokenHint } = entities as { IdTokenHint?: { payload: { sub?: string } } };
  const wanted = claims?.id_token?.sub as { value?: string } | null | undefined;
  return {
    session: session?.accountId === undefined ? undefined : session.uid,
    authenticated_at: (session as { authenticatedAt?: number } | undefined)?.authenticatedAt,
    expected_user: IdTokenHint?.payload.sub ?? wanted?.value,
  };
}

/** The API that a token is for: Postern's own, or another that the client is registered for (RFC 8707). */
async function resourceServer(world: ProviderWorld, ctx: KoaContextWithOIDC, keys: KeySet, resource: string) {
  const client = await world.findClient(ctx.oidc.client?.clientId ?? '');
  const isOurs = resource === world.publicUrl || resource === `${world.publicUrl}/`;
  if (!client || !(isOurs || client.metadata.resources?.includes(resource))) throw new errors.InvalidTarget();
  // What the user may do now, not what they could when they said yes.
  const rights = (ctx.oidc.account as UserAccount | undefined)?.user.rights.scopes;
  const scopes = client.scopes.filter((scope) =>
    isOurs ? isOpenIdScope(scope) || rights === undefined || rights.includes(scope) : !isOpenIdScope(scope),
  );
  return {
    scope: scopes.join(' '),
    audience: isOurs ? world.publicUrl : resource,
    accessTokenFormat: 'jwt' as const,
    jwt: { sign: { alg: 'ES256' as const, kid: keys.current.kid } },
  };
}

/** An access token does not outlive its grant (S23). */
function accessTokenLife({ accessTokenSeconds }: ProviderWorld, ctx: KoaContextWithOIDC): number {
  const end = ctx.oidc.entities.Grant?.exp;
  if (end === undefined) return accessTokenSeconds;
  return Math.max(1, Math.min(accessTokenSeconds, end - Math.floor(Date.now() / 1_000)));
}

/** What our access tokens say beyond RFC 9068's own: whose tenant, which grant and session end them, how the user came in. */
async function extraClaims(world: ProviderWorld, ctx: KoaContextWithOIDC, token: AccessToken) {
  const { AuthorizationCode, RefreshToken, DeviceCode, Account } = ctx.oidc.entities;
  const source = RefreshToken ?? AuthorizationCode ?? DeviceCode;
  const client = await world.findClient(ctx.oidc.client?.clientId ?? '');
  if (!source || !client) throw new Error('An access token is made of nothing that is known here.');
  const { rights } = (Account as UserAccount).user;
  const scopes = token.scope?.split(' ') ?? [];
  const isBound = !isOffline([...source.scopes], client);
  const needsRights = scopes.some((scope) => !isOpenIdScope(scope));
  return {
    tenant: await world.tenantSlug(client.tenantId),
    grant_id: token.grantId,
    ...(isBound && source.sessionUid !== undefined && { sid: source.sessionUid }),
    ...(source.authTime !== undefined && { auth_time: source.authTime }),
    ...(source.acr !== undefined && { acr: source.acr }),
    ...(source.amr !== undefined && { amr: source.amr }),
    rev: [client.id, ...(needsRights ? rights.revisions : [])],
    ...(source.claims?.userinfo && { claims: { userinfo: source.claims.userinfo } }),
  };
}
