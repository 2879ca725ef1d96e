import type { TokenSigner } from '../crypto/access-tokens.ts';
import { identityScopes } from '../crypto/claims.ts';
import { InvalidProof, type ProveKey, type ProvenRequest } from '../crypto/dpop.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { type Client, supportedGrants } from './client.ts';
import { OAuthError } from './errors.ts';

export interface GrantedToken {
  token_type: 'Bearer' | 'DPoP';
  expires_in: number;
  access_token: string;
  scope: string;
}

export interface ClientGrantWorld {
  signer: TokenSigner;
  proveKey: ProveKey;
  publicUrl: string;
  tenantSlug: TenantDirectory['tenantSlug'];
  accessTokenSeconds: number;
}

/**
 * The client credentials grant (RFC 6749 §4.4): a token for the client itself. There is no refresh token: it can ask again.
 * @param resource as it was sent
 * @param request is asked for a proof, to whose key the token is then bound
 * @throws OAuthError
 */
export async function grantClientCredentials(
  world: ClientGrantWorld,
  client: Client,
  { scope: requestedScope, resource }: { scope?: string | undefined; resource: unknown },
  request: ProvenRequest,
): Promise<GrantedToken> {
  const { signer, tenantSlug, accessTokenSeconds } = world;
  if (client.isPublic || !client.grants.includes('client_credentials')) {
    throw new OAuthError('unauthorized_client', 'This client may not use the grant client_credentials.');
  }
  const scope = grantedScope(client, requestedScope);
  const token = {
    sub: client.id,
    clientId: client.clientId,
    scope,
    tenant: await tenantSlug(client.tenantId),
    lifetimeSeconds: accessTokenSeconds,
    audience: audienceOf(world, client, resource),
    // Asked last: a proof is good for one request, and need not be made again for one that was refused for something else.
    thumbprint: isBound(client, request) ? await keyOf(world, request) : undefined,
  };
  return {
    token_type: token.thumbprint === undefined ? 'Bearer' : 'DPoP',
    expires_in: accessTokenSeconds,
    access_token: await signer.sign(token),
    scope,
  };
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

/**
 * For whom the token is (RFC 8707): Postern itself where nothing else is asked for. One at a time: what holds for several
 * would let each of them use it with the others.
 */
function audienceOf({ publicUrl }: ClientGrantWorld, { metadata }: Client, resource: unknown): string {
  if (resource === undefined || resource === '' || resource === publicUrl) return publicUrl;
  if (Array.isArray(resource)) throw new OAuthError('invalid_target', 'Ask for one resource at a time.');
  if (typeof resource !== 'string' || !URL.canParse(resource) || resource.includes('#')) {
    throw new OAuthError('invalid_target', 'resource must be an absolute URI without a fragment.');
  }
  if (!metadata.resources?.includes(resource)) {
    throw new OAuthError('invalid_target', 'This client gets no tokens for this resource.');
  }
  return resource;
}

/** Who has said that all its tokens are bound gets no other by leaving the proof out (RFC 9449 §5.2). */
function isBound({ metadata }: Client, { headers }: ProvenRequest): boolean {
  return headers.dpop !== undefined || metadata.dpop_bound_access_tokens === true;
}

async function keyOf({ proveKey }: ClientGrantWorld, request: ProvenRequest): Promise<string> {
  return proveKey(request).catch((error: unknown) => {
    throw error instanceof InvalidProof ? new OAuthError('invalid_dpop_proof', error.message) : error;
  });
}

const isOpenIdScope = (scope: string) => identityScopes.has(scope);

/** What OpenID Connect says of users says nothing of a client, whatever it may ask for in a user's name. */
function grantedScope({ scopes: known }: Client, requested: string | undefined): string {
  const own = known.filter((scope) => !isOpenIdScope(scope));
  const scopes = requested === undefined ? own : [...new Set(requested.split(' ').filter((scope) => scope !== ''))];
  if (scopes.length === 0 || !scopes.every((scope) => own.includes(scope))) {
    throw new OAuthError('invalid_scope', `In its own name this client has the scopes: ${own.join(' ')}.`);
  }
  return scopes.join(' ');
}
