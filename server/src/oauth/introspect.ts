/** Telling another program about a token (RFC 7662), and ending one on its word (RFC 7009). */
import type { TokenVerifier } from '../crypto/access-tokens.ts';
import { type AccessTokenClaims, firstPartyClientId } from '../crypto/claims.ts';
import type { Revocations } from '../sessions/revocations.ts';
import { readRefreshToken, revocationSubjects } from '../sessions/session.ts';
import { endSession, refreshableSession } from '../sessions/store.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import type { Client } from './client.ts';
import { OAuthError } from './errors.ts';
import { type GrantReader, introspectGrant, revokeGrantToken } from './introspect-grant.ts';

export interface TokenReader extends GrantReader {
  verifier: TokenVerifier;
  revocations: Revocations;
  tenantSlug: TenantDirectory['tenantSlug'];
}

/**
 * What is known of a live token of the client's tenant, whomever it is for: resource servers ask about those that they are
 * sent. Of any other token only that it is not active.
 */
export async function introspect(world: TokenReader, client: Client, token: string): Promise<Record<string, unknown>> {
  const claims = await liveClaims(world, client, token);
  if (claims) return { active: true, token_type: claims.cnf ? 'DPoP' : 'Bearer', ...claims };
  const named = readRefreshToken(world.secrets, token);
  const session = named && (await refreshableSession(world.db, named));
  if (!named) return (await introspectGrant(world, client, token)) ?? { active: false };
  if (session?.tenantId !== client.tenantId) return { active: false };
  return {
    active: true,
    token_type: 'refresh_token',
    sub: session.userId,
    client_id: firstPartyClientId,
    scope: session.rights.scopes.join(' '),
    sid: named.sessionId,
    exp: Math.floor(session.idleExpiresAt),
  };
}

/**
 * Ends an access token, or the session of a refresh token. A token nobody knows is as dead as it was meant to be.
 * @throws OAuthError when it is another client's
 */
export async function revokeToken(world: TokenReader, client: Client, token: string): Promise<void> {
  const claims = await liveClaims(world, client, token);
  if (claims) {
    // Users' own tokens were issued to no client: whoever holds one may end it.
    if (claims.client_id !== client.clientId && claims.client_id !== firstPartyClientId) {
      throw new OAuthError('invalid_request', 'The token was issued to another client.');
    }
    const announce = await world.revocations.revoke(world.db, [claims.jti]);
    return announce();
  }
  const named = readRefreshToken(world.secrets, token);
  const session = named && (await refreshableSession(world.db, named));
  if (!named) return revokeGrantToken(world, client, token);
  if (session?.tenantId !== client.tenantId) return;
  const announce = await world.db.begin(async (tx) => {
    await endSession(tx, session.userId, named.sessionId);
    return world.revocations.revoke(tx, [named.sessionId]);
  });
  announce();
}

async function liveClaims(
  { verifier, revocations, tenantSlug }: TokenReader,
  client: Client,
  token: string,
): Promise<AccessTokenClaims | undefined> {
  const claims = await verifier.verifyForAnybody(token);
  if (!claims || claims.tenant !== (await tenantSlug(client.tenantId))) return undefined;
  return (await revocations.isRevoked(revocationSubjects(claims))) ? undefined : claims;
}
