/**
 * OAuth: the server half of OAuth 2 and OpenID Connect, for other programs. This folder owns the table `clients`, those that
 * begin with `oauth_`, and the calls under `/oauth` and `/clients`; what a user's own session is, it leaves to `sessions/`, and
 * the pages to `pages/`. This file holds the words its operations share.
 */
import type { JSONWebKeySet } from 'jose';
import type { publicKeyAlgorithms } from '../crypto/algorithms.ts';
import { firstPartyClientId } from '../crypto/claims.ts';

export const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code';
/** What a client may be allowed to ask tokens with. */
export const supportedGrants = ['authorization_code', 'refresh_token', 'client_credentials', deviceCodeGrant] as const;
export type Grant = (typeof supportedGrants)[number];

/** How a client proves who it is. The first two are one to us: a secret is good whichever way it comes. */
export const authMethods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const;
export type AuthMethod = (typeof authMethods)[number];

/** Scopes that OpenID Connect gives a meaning (Core §5.4, §11); all others are rights. */
export const openIdScopes = ['openid', 'profile', 'email', 'offline_access'] as const;

export function isOpenIdScope(scope: string): boolean {
  return openIdScopes.some((one) => one === scope);
}

export const idTokenAlgs = ['RS256', 'ES256'] as const;
export const acrValues = ['aal1', 'aal2'] as const;

/** Members of RFC 7591 and OpenID Registration, by their own names; the last two are ours. */
export interface ClientMetadata {
  token_endpoint_auth_method: AuthMethod;
  application_type: 'web' | 'native';
  client_name?: string;
  client_uri?: string;
  logo_uri?: string;
  policy_uri?: string;
  tos_uri?: string;
  contacts?: string[];
  token_endpoint_auth_signing_alg?: (typeof publicKeyAlgorithms)[number];
  /** Public keys alone. */
  jwks?: JSONWebKeySet;
  jwks_uri?: string;
  post_logout_redirect_uris?: string[];
  id_token_signed_response_alg?: (typeof idTokenAlgs)[number];
  default_max_age?: number;
  require_auth_time?: boolean;
  default_acr_values?: (typeof acrValues)[number][];
  dpop_bound_access_tokens?: boolean;
  require_pushed_authorization_requests?: boolean;
  software_id?: string;
  software_version?: string;
  /** What it may ask tokens for besides Postern itself (RFC 8707). */
  resources: string[];
  /** The operator's own application: its users are not asked. */
  skip_consent: boolean;
}

export interface Client {
  /** UUID: subject of the client's own tokens, so that a later client of the same name is another one. */
  id: string;
  /** What callers know it by. */
  clientId: string;
  tenantId: string;
  /** It can keep no secret and proves nothing. */
  isPublic: boolean;
  scopes: string[];
  grants: string[];
  redirectUris: string[];
  metadata: ClientMetadata;
  createdAt: Date;
  /** Until when the secret before the last rotation is good too; null where it no longer is. */
  formerSecretUntil: Date | null;
}

/** With the defaults of RFC 7591 and our own for what is not said. */
export function completeMetadata(given: Partial<ClientMetadata>): ClientMetadata {
  return {
    token_endpoint_auth_method: 'client_secret_basic',
    application_type: 'web',
    resources: [],
    skip_consent: false,
    ...given,
  };
}

export function hasSecret({ metadata }: { metadata: ClientMetadata }): boolean {
  const { token_endpoint_auth_method: method } = metadata;
  return method === 'client_secret_basic' || method === 'client_secret_post';
}

/** They follow from the grants, so they are kept nowhere: of two that may disagree one is wrong. */
export function responseTypesOf(grants: readonly string[]): string[] {
  return grants.includes('authorization_code') ? ['code'] : [];
}

/** Nobody asks for it. */
export const noScope = 'none';

/** What the `Client` of `oidc-provider` is made of. It must never compare the secret: it is given none. */
export function toProviderMetadata(client: Client): Record<string, unknown> {
  const { resources: _, skip_consent: __, ...metadata } = client.metadata;
  return {
    ...metadata,
    client_id: client.clientId,
    ...(hasSecret(client) ? { client_secret: 'kept as an HMAC' } : {}),
    grant_types: client.grants,
    redirect_uris: client.redirectUris,
    response_types: responseTypesOf(client.grants),
    // The library knows these alone, and lets a client without any ask for all.
    scope: client.scopes.filter(isOpenIdScope).join(' ') || noScope,
  };
}

/** Scope tokens of RFC 6749 §3.3, each once; undefined where the text is none. */
export function parseScope(text: string): string[] | undefined {
  const scopes = text.split(' ').filter((scope) => scope !== '');
  if (!scopes.every((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(scope))) return undefined;
  return [...new Set(scopes)];
}

/** Whether it can be one at all: PostgreSQL takes no NUL in text, and no client id holds anything else than printable ASCII. */
export function isClientId(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text);
}

/** @throws Error whose message completes "… ID" */
export function checkClientId(clientId: string): void {
  if (!/^[\x21-\x39\x3b-\x7e]{1,128}$/.test(clientId)) {
    throw new Error('must be 1 to 128 printable ASCII characters without spaces and colons');
  }
  if (clientId === firstPartyClientId) throw new Error(`must not be "${firstPartyClientId}": that is Postern itself`);
}
