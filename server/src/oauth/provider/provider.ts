/**
 * The flows that users stand behind (authorization code, refresh, device code), pushed requests, userinfo, logout and
 * discovery: `oidc-provider`, certified by the OpenID Foundation, over our own sessions, users, clients, keys and database.
 * Its choices that are ours stand in `configuration.ts`; here it is tied to what is ours already.
 */
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import type { KeySet } from '../../crypto/signing-keys.ts';
import { findProven } from '../authenticate-client.ts';
import { openIdScopes } from '../client.ts';
import { grantToken, readGrantToken } from '../grants.ts';
import { configuration, type ProviderWorld } from './configuration.ts';
import { paths } from './paths.ts';
import { bridgeSessions } from './session.ts';
import { Unavailable } from './storage.ts';
import { bridgeTokens } from './tokens.ts';

export function makeProvider(world: ProviderWorld, keys: KeySet): Provider {
  const { publicUrl, secrets, log } = world;
  const provider = new Provider(publicUrl, configuration(world, keys));
  // The host and the scheme of PUBLIC_URL arrive as if from a proxy (`routes.ts`), whatever the request says.
  provider.proxy = true;
  provider.silent = true;
  provider.on('server_error', (_ctx, err) => {
    if (!(err instanceof Unavailable)) log.error({ err }, 'the OAuth server failed');
  });
  provider.use(async (context, next) => {
    await next();
    const ctx = context as KoaContextWithOIDC;
    if (ctx.status === 503) ctx.set('Retry-After', '1');
    if (isLogoutOfNobody(ctx)) leave(ctx, publicUrl);
    const metadata = ctx.body as { scopes_supported?: readonly string[] } | undefined;
    if (ctx.path.startsWith('/.well-known/') && metadata?.scopes_supported) metadata.scopes_supported = openIdScopes;
  });
  bridgeSessions(provider, world);
  bridgeTokens(provider, world);
  // Secrets are kept as HMACs alone.
  Object.defineProperty(provider.Client.prototype, 'compareClientSecret', {
    async value(this: { clientId: string }, secret: string) {
      return (await findProven(world, this.clientId, secret)) !== undefined;
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

/** The library has a script, or another click, say yes to a question that nobody needs to be asked. */
function isLogoutOfNobody({ oidc, status }: KoaContextWithOIDC): boolean {
  return oidc?.route === 'end_session' && status === 200 && oidc.session?.accountId === undefined;
}

/** @param ctx whose address to go on to has been checked */
function leave(ctx: KoaContextWithOIDC, publicUrl: string): void {
  const { post_logout_redirect_uri: wanted, state } = ctx.oidc.params ?? {};
  const to = new URL(typeof wanted === 'string' ? wanted : `${publicUrl}${paths.end_session}/success`);
  if (typeof wanted === 'string' && typeof state === 'string') to.searchParams.set('state', state);
  ctx.status = 303;
  ctx.redirect(to.href);
}
