/** Refresh tokens of clients, as other programs of the tenant are told of them and end them. */
import type { Client } from './client.ts';
import { OAuthError } from './errors.ts';
import type { FindClient } from './find-client.ts';
import { findLiveGrant } from './grant-store.ts';
import { type GrantWorld, readGrantToken, refreshTokenPayload, revokeGrant } from './grants.ts';

export interface GrantReader extends GrantWorld {
  findClient: FindClient;
}

/** What is known of a live refresh token of a client of the same tenant. */
export async function introspectGrant(
  world: GrantReader,
  { tenantId }: Client,
  token: string,
): Promise<Record<string, unknown> | undefined> {
  const found = await grantOf(world, token);
  if (found?.client.tenantId !== tenantId) return undefined;
  const { grant, counter } = found;
  const payload = refreshTokenPayload(world, grant, token, counter);
  if (!payload || 'consumed' in payload || Number(payload.exp) <= Date.now() / 1_000) return undefined;
  const { scope, jkt, exp } = payload;
  return {
    active: true,
    token_type: 'refresh_token',
    sub: grant.userId,
    client_id: grant.clientId,
    ...(scope !== undefined && { scope }),
    grant_id: grant.id,
    exp,
    ...(jkt !== undefined && { cnf: { jkt } }),
  };
}

/**
 * Ends the grant of a refresh token, and with it every token that came of it.
 * @throws OAuthError when it is another client's
 */
export async function revokeGrantToken(world: GrantReader, { clientId }: Client, token: string): Promise<void> {
  const found = await grantOf(world, token);
  if (!found) return;
  if (found.grant.clientId !== clientId) {
    throw new OAuthError('invalid_request', 'The token was issued to another client.');
  }
  await revokeGrant(world, found.grant.id, 'revoked');
}

async function grantOf(world: GrantReader, token: string) {
  const named = readGrantToken(world.secrets, token);
  const grant = named && (await findLiveGrant(world.db, named.id));
  const client = grant && (await world.findClient(grant.clientId));
  return grant && client && { grant, client, counter: named.counter };
}
