/** What an access token says (RFC 9068). */
export interface AccessTokenClaims {
  iss: string;
  /** User or client id (UUID). */
  sub: string;
  aud: string;
  /** Seconds since 1970. */
  exp: number;
  iat: number;
  jti: string;
  client_id: string;
  scope: string;
  /** Session; of users' tokens only. */
  sid?: string;
  /** Slug. */
  tenant: string;
}

/** The `client_id` of tokens that users get from Postern itself. */
export const firstPartyClientId = 'postern';
