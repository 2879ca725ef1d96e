/**
 * Sessions: one login of one user on one device, and the tokens that stand for it. This folder owns the tables `sessions`
 * and `revocations`: logging in, refreshing, logging out, and telling for each request who is calling. Whose password it
 * is, it asks `users/`; how a token is signed, `crypto/`.
 */
import type { TokenSigner } from '../crypto/access-tokens.ts';
import { type AccessTokenClaims, firstPartyClientId } from '../crypto/claims.ts';
import { countedToken, readCountedToken } from '../crypto/counted-tokens.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Rights } from '../roles/rights.ts';
import { levelOf } from '../second-factors/second-factor.ts';

export interface SessionTimes {
  accessTokenSeconds: number;
  refreshTokenSeconds: number;
  sessionSeconds: number;
}

/** What making tokens takes. */
export interface TokenWorld {
  secrets: Secrets;
  signer: TokenSigner;
  accessTokenSeconds: number;
}

/** A session as its tokens need it; instants in seconds since 1970, by the database's clock. */
export interface LiveSession {
  id: string;
  userId: string;
  refreshCounter: number;
  refreshedAt: number;
  expiresAt: number;
  now: number;
  /** How whoever holds it has authenticated, and when last. */
  methods: string[];
  authenticatedAt: number;
  rights: Rights;
}

/**
 * The current pair of a session. Everything follows from the row, so whoever asks again gets the same refresh token and
 * an access token with the same claims.
 */
export async function currentTokens(
  { secrets, signer, accessTokenSeconds }: TokenWorld,
  session: LiveSession,
  { tenantSlug }: { tenantSlug: string },
): Promise<Token> {
  const iat = Math.floor(session.refreshedAt);
  // An access token does not outlive its session (S23).
  const lifetimeSeconds = Math.max(1, Math.min(accessTokenSeconds, Math.floor(session.expiresAt) - iat));
  const access_token = await signer.sign({
    sub: session.userId,
    clientId: firstPartyClientId,
    scope: session.rights.scopes.join(' '),
    sid: session.id,
    tenant: tenantSlug,
    authentication: {
      methods: session.methods,
      level: levelOf(session.methods),
      at: Math.floor(session.authenticatedAt),
    },
    roles: session.rights.roles,
    rev: session.rights.revisions,
    lifetimeSeconds,
    iat,
    jti: tokenId(session),
  });
  return {
    access_token,
    refresh_token: refreshToken(secrets, session),
    token_type: 'bearer',
    expires_in: Math.max(0, iat + lifetimeSeconds - Math.floor(session.now)),
  };
}

/** Id of the access token that belongs to a counter of a session. */
export function tokenId({ id, refreshCounter }: Pick<LiveSession, 'id' | 'refreshCounter'>): string {
  return `${id}.${refreshCounter}`;
}

const refreshTokens = { prefix: 'rt_', purpose: 'refresh-token' };

export function refreshToken(
  secrets: Secrets,
  { id, refreshCounter: counter }: Pick<LiveSession, 'id' | 'refreshCounter'>,
): string {
  return countedToken(secrets, refreshTokens, { id, counter });
}

/** Session and counter that a refresh token of ours names, or undefined where it is none. */
export function readRefreshToken(secrets: Secrets, token: string): { sessionId: string; counter: number } | undefined {
  const named = readCountedToken(secrets, refreshTokens, token);
  return named && { sessionId: named.id, counter: named.counter };
}

/** What a token can be revoked by: itself, its session or grant, whoever it speaks for, or what its scopes were made from. */
export function revocationSubjects(claims: AccessTokenClaims): string[] {
  const { jti, sub, sid, grant_id, rev = [] } = claims;
  const subjects = [jti, sub, ...rev];
  if (sid !== undefined) subjects.push(sid);
  if (grant_id !== undefined) subjects.push(grant_id);
  return subjects;
}
