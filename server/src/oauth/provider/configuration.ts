/** Which of the choices that `oidc-provider` leaves are ours. */
import type { FastifyBaseLogger } from 'fastify';
import type { AccessToken, Configuration, JWK, KoaContextWithOIDC } from 'oidc-provider';
import { publicKeyAlgorithms } from '../../crypto/algorithms.ts';
import type { KeySet } from '../../crypto/signing-keys.ts';
import { cookieName } from '../../http/cookies.ts';
import { acrValues, authMethods, idTokenAlgs, noScope, openIdScopes } from '../client.ts';
import type { ReadDocument } from '../client-keys.ts';
import { isOffline } from '../grants.ts';
import { type AccountWorld, claimsByScope, makeFindAccount } from './account.ts';
import { existingGrant } from './existing-grant.ts';
import type { ProviderPages } from './pages.ts';
import { paths } from './paths.ts';
import { policy } from './policy.ts';
import { type SessionBridgeWorld, stateCookie, stateSeconds } from './session.ts';
import { makeStorage, type StorageWorld } from './storage.ts';
import { accessTokenLife, extraClaims, resourceServer, type TokenClaimsWorld } from './token-claims.ts';
import type { TokenBridgeWorld } from './tokens.ts';

export interface ProviderWorld
  extends StorageWorld,
    AccountWorld,
    SessionBridgeWorld,
    TokenBridgeWorld,
    TokenClaimsWorld {
  db: StorageWorld['db'];
  secrets: StorageWorld['secrets'];
  publicUrl: string;
  accessTokenSeconds: number;
  refreshTokenSeconds: number;
  sessionSeconds: number;
  oauthRegistration: 'off' | 'on';
  readDocument: ReadDocument;
  oauthPages: ProviderPages;
  log: FastifyBaseLogger;
}

const codeSeconds = 60;
const interactionSeconds = 3_600;
const deviceSeconds = 600;
const idTokenSeconds = 3_600;

export function configuration(world: ProviderWorld, keys: KeySet): Configuration {
  const { publicUrl, oauthPages, oauthRegistration } = world;
  const isHttps = publicUrl.startsWith('https:');
  const { path: _, ...short } = stateCookie(world);
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
      clientAuthSigningAlgValues: [...publicKeyAlgorithms],
      dPoPSigningAlgValues: [...publicKeyAlgorithms],
    },
    pkce: { required: () => true },
    // It is compared, never guessed (S29; OpenID Connect Core §3.1.2.1).
    allowOmittingSingleRegisteredRedirectUri: false,
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
      long: stateCookie(world),
      short,
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
        getResourceServerInfo: (ctx, resource) => resourceServer(world, ctx, { resource, kid: keys.current.kid }),
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

function nameOf({ clientName, clientId }: { clientName?: string | undefined; clientId: string }): string {
  return clientName ?? clientId;
}

function privateKeys({ signing }: KeySet): JWK[] {
  return signing.map(({ kid, alg, privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }));
}
