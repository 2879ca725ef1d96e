/** What access tokens say: for whom they are, for how long, and whom they speak for. */
import { type AccessToken, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { TenantDirectory } from '../../tenants/tenants.ts';
import { isOpenIdScope } from '../client.ts';
import type { FindClient } from '../find-client.ts';
import { isOffline } from '../grants.ts';
import type { UserAccount } from './account.ts';

export interface TokenClaimsWorld {
  publicUrl: string;
  accessTokenSeconds: number;
  findClient: FindClient;
  tenantSlug: TenantDirectory['tenantSlug'];
}

/** The API that a token is for: Postern's own, or another that the client is registered for (RFC 8707). */
export async function resourceServer(
  world: TokenClaimsWorld,
  ctx: KoaContextWithOIDC,
  { resource, kid }: { resource: string; kid: string },
) {
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
    jwt: { sign: { alg: 'ES256' as const, kid } },
  };
}

/** An access token does not outlive its grant (S23). */
export function accessTokenLife({ accessTokenSeconds }: TokenClaimsWorld, ctx: KoaContextWithOIDC): number {
  const end = ctx.oidc.entities.Grant?.exp;
  if (end === undefined) return accessTokenSeconds;
  return Math.max(1, Math.min(accessTokenSeconds, end - Math.floor(Date.now() / 1_000)));
}

/** What our access tokens say beyond RFC 9068's own: whose tenant, which grant and session end them, how the user came in. */
export async function extraClaims(world: TokenClaimsWorld, ctx: KoaContextWithOIDC, token: AccessToken) {
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
