/**
 * Sessions: one login of one user on one device, and the tokens that stand for it. This folder owns the tables `sessions`
 * and `revocations`: logging in, refreshing, logging out, and telling for each request who is calling. Whose password it
 * is, it asks `users/`; how a token is signed, `crypto/`.
 *
 * A refresh token is arithmetic, not a row: session id (16 bytes), counter (4), HMAC over both (32), keyed by SECRET_KEY.
 * A dump of the database therefore holds no token, and reuse shows as a counter that is too low.
 */
import { timingSafeEqual } from 'node:crypto';
import type { TokenSigner } from '../crypto/access-tokens.ts';
import { type AccessTokenClaims, firstPartyClientId } from '../crypto/claims.ts';
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

export function refreshToken(
  secrets: Secrets,
  { id, refreshCounter }: Pick<LiveSession, 'id' | 'refreshCounter'>,
): string {
  const named = nameBytes(id, refreshCounter);
  return `rt_${Buffer.concat([named, secrets.hmac('refresh-token', named.toString('hex'))]).toString('base64url')}`;
}

/** Session and counter that a refresh token of ours names, or undefined where it is none. */
export function readRefreshToken(secrets: Secrets, token: string): { sessionId: string; counter: number } | undefined {
  const match = /^rt_([\w-]{70})$/.exec(token);
  if (!match?.[1]) return undefined;
  const bytes = Buffer.from(match[1], 'base64url');
  if (bytes.length !== 52) return undefined;
  const named = bytes.subarray(0, 20);
  const mac = bytes.subarray(20);
  if (!secrets.hmacs('refresh-token', named.toString('hex')).some((good) => timingSafeEqual(good, mac)))
    return undefined;
  const hex = named.toString('hex');
  const sessionId = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
  return { sessionId, counter: named.readUInt32BE(16) };
}

function nameBytes(id: string, counter: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.write(id.replaceAll('-', ''), 'hex');
  bytes.writeUInt32BE(counter, 16);
  return bytes;
}

/** What a token can be revoked by: itself, its session, whoever it speaks for, or what its scopes were made from. */
export function revocationSubjects(claims: AccessTokenClaims): string[] {
  const { jti, sub, sid, rev = [] } = claims;
  return [jti, sub, ...(sid === undefined ? [] : [sid]), ...rev];
}
