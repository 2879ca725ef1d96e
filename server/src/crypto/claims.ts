/** What an access token says (RFC 9068). */
export interface AccessTokenClaims {
  iss: string;
  /** User or client id (UUID). */
  sub: string;
  /** PUBLIC_URL, or the resource server it was asked for (RFC 8707). */
  aud: string;
  /** Seconds since 1970. */
  exp: number;
  iat: number;
  jti: string;
  client_id: string;
  scope: string;
  /** Session; of users' own tokens, and of those to other programs that end with it. */
  sid?: string;
  /** Of a token that another program has in a user's name: what the user has granted to it (UUID). */
  grant_id?: string;
  /** Thumbprint of the key without which the token is worth nothing (RFC 9449 §6.1). */
  cnf?: { jkt: string };
  /** Slug. */
  tenant: string;
  /** When (seconds since 1970), at which level and how the user has authenticated; of users' tokens only. */
  auth_time?: number;
  acr?: string;
  amr?: string[];
  /** Names of the user's roles (§2.2.3.1); of users who have some. */
  roles?: string[];
  /** What the scopes of a user's token were made from: see `roles/rights.ts`. */
  rev?: string[];
  /** Single claims that were asked for (OpenID Connect Core §5.5). */
  claims?: { userinfo: Record<string, unknown> };
}

/** The `client_id` of tokens that users get from Postern itself. */
export const firstPartyClientId = 'postern';

/** Scopes by which OpenID Connect names what a program may know of a user: no rights, and nothing in a client's own token. */
export const identityScopes: ReadonlySet<string> = new Set(['openid', 'profile', 'phone', 'address', 'offline_access']);
