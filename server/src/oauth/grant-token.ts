import type { TokenSigner } from '../crypto/access-tokens.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { type Client, parseScope, supportedGrants } from './client.ts';
import { OAuthError } from './errors.ts';

export interface GrantedToken {
  token_type: 'Bearer';
  expires_in: number;
  access_token: string;
  scope: string;
}

/**
 * The client credentials grant (RFC 6749 §4.4): a token for the client itself. There is no refresh token: it can ask again.
 * @throws OAuthError
 */
export async function grantClientCredentials(
  {
    signer,
    tenantSlug,
    accessTokenSeconds,
  }: {
    signer: TokenSigner;
    tenantSlug: TenantDirectory['tenantSlug'];
    accessTokenSeconds: number;
  },
  client: Client,
  requestedScope: string | undefined,
): Promise<GrantedToken> {
  if (client.isPublic || !client.grants.includes('client_credentials')) {
    throw new OAuthError('unauthorized_client', 'This client may not use the grant client_credentials.');
  }
  const scope = grantedScope(client, requestedScope);
  const access_token = await signer.sign({
    sub: client.id,
    clientId: client.clientId,
    scope,
    tenant: await tenantSlug(client.tenantId),
    lifetimeSeconds: accessTokenSeconds,
  });
  return { token_type: 'Bearer', expires_in: accessTokenSeconds, access_token, scope };
}

/** Whether a user stands behind it: those are answered by `provider/`. */
export function isUsersGrant(grantType: string): boolean {
  return grantType !== 'client_credentials' && supportedGrants.some((grant) => grant === grantType);
}

/** @throws OAuthError */
export function checkGrantType(grantType: string | undefined): void {
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing.');
  if (!supportedGrants.some((grant) => grant === grantType)) {
    throw new OAuthError('unsupported_grant_type', `grant_type must be one of: ${supportedGrants.join(', ')}.`);
  }
}

function grantedScope(client: Client, requested: string | undefined): string {
  if (requested === undefined) return client.scopes.join(' ');
  const scopes = parseScope(requested);
  const refused = scopes?.find((scope) => !client.scopes.includes(scope));
  if (!scopes || scopes.length === 0 || refused !== undefined) {
    throw new OAuthError('invalid_scope', `This client has the scopes: ${client.scopes.join(' ')}.`);
  }
  return scopes.join(' ');
}
