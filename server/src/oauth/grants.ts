/**
 * Grants: one sign-in of a user at a client, and the family of its refresh tokens. Like a session's, a refresh token is
 * arithmetic: the grant's id, a counter, an HMAC. So a lost reply or a second tab gets the token that is current, and reuse
 * shows as a counter that is too low.
 */
import { auditRecord, recordAudit } from '../audit/record.ts';
import { type Counted, countedToken, readCountedToken } from '../crypto/counted-tokens.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import { type NewArtifact, writtenArtifact } from './artifact-store.ts';
import { consentNotFound } from './errors.ts';
import {
  addConsent,
  advanceGrant,
  type Consent,
  endGrant,
  endGrantsOf,
  type Granted,
  insertedGrant,
  type LiveGrant,
  removeConsent,
  storeRefreshToken,
} from './grant-store.ts';
import type { StoredClient } from './store.ts';

export interface GrantWorld {
  db: Database;
  secrets: Secrets;
  /** Idle life of a refresh token, and how long a grant lives at most. */
  refreshTokenSeconds: number;
  sessionSeconds: number;
  /** Ends tokens that name one of these; call what it returns after the commit. */
  revoke: (tx: Queryable, subjects: readonly string[]) => Promise<() => void>;
}

const refreshTokens = { prefix: 'ort_', purpose: 'oauth-refresh-token' };

export function grantToken(secrets: Secrets, named: Counted): string {
  return countedToken(secrets, refreshTokens, named);
}

/** Grant and counter that a refresh token of ours names, or undefined where it is none. */
export function readGrantToken(secrets: Secrets, token: string): Counted | undefined {
  return readCountedToken(secrets, refreshTokens, token);
}

/**
 * Whether a client may go on without the user: it was asked for (OpenID Connect Core §11), or nothing of OpenID Connect was
 * and the client is one that refreshes.
 */
export function isOffline(scopes: readonly string[], client: Pick<StoredClient, 'grants'>): boolean {
  if (!client.grants.includes('refresh_token')) return false;
  return scopes.includes('offline_access') || !scopes.includes('openid');
}

/** Writes a grant, the code it is to be had for, and the record of it: one statement, which waits for one commit. */
export async function makeGrant(
  { db, sessionSeconds }: GrantWorld,
  grant: {
    id: string;
    userId: string;
    client: StoredClient;
    scopes: string[];
    sessionId: string | undefined;
    granted: Granted;
  },
  code: NewArtifact,
): Promise<void> {
  const { id, userId, client, scopes, sessionId, granted } = grant;
  const boundTo = isOffline(scopes, client) ? undefined : sessionId;
  const made = { id, userId, clientUuid: client.id, sessionId: boundTo, granted, seconds: sessionSeconds };
  const { tenantId, clientId } = client;
  const actor = `user:${userId}`;
  const event = { tenantId, type: 'oauth.signed_in', actor, userId, data: { client: clientId } } as const;
  await db`
    WITH made AS (${insertedGrant(db, made)}), code AS (${writtenArtifact(db, code)}), ${auditRecord(db, event)}
    SELECT`;
}

/** Ends a grant: its refresh tokens at once, its access tokens on every node within a second. */
export async function revokeGrant({ db, revoke }: GrantWorld, id: string, reason: 'reuse' | 'revoked'): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const ended = await endGrant(tx, id);
    if (!ended) return () => {};
    const { tenantId, userId, clientId } = ended;
    const type = reason === 'reuse' ? 'oauth.reuse_detected' : 'oauth.grant_revoked';
    await recordAudit(tx, { tenantId, type, userId, data: { client: clientId } });
    return revoke(tx, [id]);
  });
  announce();
}

/** What `oidc-provider` is told of a refresh token: what the family's first was made with, at the place of this one. */
export function refreshTokenPayload(
  { refreshTokenSeconds }: GrantWorld,
  grant: LiveGrant,
  token: string,
  counter: number,
): Record<string, unknown> | undefined {
  if (grant.refreshToken === null) return undefined;
  const isGood = counter === grant.refreshCounter || (counter === grant.refreshCounter - 1 && grant.isInGrace);
  return {
    ...grant.refreshToken,
    jti: token,
    kind: 'RefreshToken',
    iat: Math.floor(grant.refreshedAt),
    exp: Math.floor(Math.min(grant.refreshedAt + refreshTokenSeconds, grant.expiresAt)),
    rotations: counter,
    ...(!isGood && { consumed: Math.floor(grant.refreshedAt) }),
  };
}

/** The first of a family is kept; those that follow it are made of the same. */
export async function keepRefreshToken(
  { db, secrets }: GrantWorld,
  token: string,
  { jti: _jti, iat: _iat, exp: _exp, rotations: _rotations, ...made }: Record<string, unknown>,
): Promise<void> {
  const named = readGrantToken(secrets, token);
  if (named?.counter === 0) await storeRefreshToken(db, named.id, made);
}

/** Uses a refresh token up; false where a newer one is out. */
export async function advanceRefreshToken({ db, secrets }: GrantWorld, token: string): Promise<boolean> {
  const named = readGrantToken(secrets, token);
  return named !== undefined && advanceGrant(db, named.id, named.counter);
}

/** What a user lets a client do from now on. */
export async function giveConsent(
  { db }: Pick<GrantWorld, 'db'>,
  { userId, client, ...asked }: Consent & { userId: string; client: StoredClient },
): Promise<void> {
  await db.begin(async (tx) => {
    await addConsent(tx, { userId, clientUuid: client.id, ...asked });
    const data = { client: client.clientId, scope: asked.scopes.join(' ') };
    const { tenantId } = client;
    await recordAudit(tx, { tenantId, type: 'oauth.consent_given', actor: `user:${userId}`, userId, data });
  });
}

/**
 * Takes back what a user has let a client do: it is asked again, and every token it has in the user's name ends.
 * @throws consentNotFound
 */
export async function withdrawConsent(
  { db, revoke }: Pick<GrantWorld, 'db' | 'revoke'>,
  { userId, client }: { userId: string; client: StoredClient },
): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const wasGiven = await removeConsent(tx, userId, client.id);
    const ended = await endGrantsOf(tx, userId, client.id);
    if (!wasGiven && ended.length === 0) throw consentNotFound();
    const { tenantId, clientId } = client;
    const type = 'oauth.consent_withdrawn';
    await recordAudit(tx, { tenantId, type, actor: `user:${userId}`, userId, data: { client: clientId } });
    return revoke(tx, ended);
  });
  announce();
}
