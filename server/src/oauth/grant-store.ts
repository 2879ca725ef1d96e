/** SQL of `oauth_grants` and `oauth_consents`. */
import type { Queryable } from '../database/database.ts';

/** What a user has let a client do. */
export interface Consent {
  /** Names of scopes, those of OpenID Connect and others. */
  scopes: string[];
  /** Names of single claims that were asked for. */
  claims: string[];
  /** What its tokens may do at which API (RFC 8707): `identifier scope`. */
  resources: string[];
}

/** The APIs of a consent. */
export function apisOf({ resources }: Pick<Consent, 'resources'>): string[] {
  return [...new Set(resources.map((one) => one.split(' ')[0] ?? ''))];
}

export interface ConsentSummary extends Consent {
  clientId: string;
  clientName: string | null;
  clientUri: string | null;
  givenAt: Date;
}

export async function findConsent(db: Queryable, userId: string, clientUuid: string): Promise<Consent | undefined> {
  const [row] = await db<Consent[]>`
    SELECT scopes, claims, resources FROM oauth_consents WHERE user_id = ${userId} AND client_id = ${clientUuid}`;
  return row;
}

/** Adds to what the user has let the client do before. */
export async function addConsent(
  db: Queryable,
  { userId, clientUuid, scopes, claims, resources }: Consent & { userId: string; clientUuid: string },
): Promise<void> {
  await db`
    INSERT INTO oauth_consents AS o (user_id, client_id, scopes, claims, resources)
    VALUES (${userId}, ${clientUuid}, ${scopes}, ${claims}, ${resources})
    ON CONFLICT (user_id, client_id) DO UPDATE SET
      scopes = ARRAY(SELECT DISTINCT unnest(o.scopes || excluded.scopes)),
      claims = ARRAY(SELECT DISTINCT unnest(o.claims || excluded.claims)),
      resources = ARRAY(SELECT DISTINCT unnest(o.resources || excluded.resources)),
      given_at = now()`;
}

/** What a user has let clients do, by name of the client. */
export async function consentsOf(db: Queryable, userId: string): Promise<ConsentSummary[]> {
  return db<ConsentSummary[]>`
    SELECT c.client_id AS "clientId", c.metadata->>'client_name' AS "clientName",
           c.metadata->>'client_uri' AS "clientUri", o.scopes, o.claims, o.resources, o.given_at AS "givenAt"
    FROM oauth_consents o JOIN clients c ON c.id = o.client_id
    WHERE o.user_id = ${userId} ORDER BY c.client_id`;
}

/** Takes back what a user has let a client do; false where there was nothing. */
export async function removeConsent(db: Queryable, userId: string, clientUuid: string): Promise<boolean> {
  const rows = await db`
    DELETE FROM oauth_consents WHERE user_id = ${userId} AND client_id = ${clientUuid} RETURNING user_id`;
  return rows.length > 0;
}

/** What tokens of a grant may say, as `oidc-provider` has it in its model Grant. */
export interface Granted {
  openid?: { scope?: string | undefined; claims?: string[] | undefined };
  resources?: Record<string, string>;
}

export interface NewGrant {
  id: string;
  userId: string;
  clientUuid: string;
  /** Undefined where the client may go on without the user. */
  sessionId: string | undefined;
  granted: Granted;
  seconds: number;
}

/** Writes a grant, as a part of a larger statement. One bound to a session ends with it at the latest. */
export function insertedGrant(db: Queryable, grant: NewGrant) {
  return db`
    INSERT INTO oauth_grants (id, user_id, client_id, session_id, granted, expires_at)
    SELECT ${grant.id}, ${grant.userId}, ${grant.clientUuid}, ${grant.sessionId ?? null}::uuid,
           ${db.json(grant.granted as never)},
           least(now() + make_interval(secs => ${grant.seconds}),
                 (SELECT expires_at FROM sessions WHERE id = ${grant.sessionId ?? null}::uuid))`;
}

export interface LiveGrant {
  id: string;
  userId: string;
  clientId: string;
  granted: Granted;
  /** What the next refresh token is made of; null before there was one. */
  refreshToken: Record<string, unknown> | null;
  refreshCounter: number;
  /** Whether the refresh token before the last one may still be used once more: a lost reply, two tabs. */
  isInGrace: boolean;
  /** Seconds since 1970, as are the others. */
  refreshedAt: number;
  createdAt: number;
  expiresAt: number;
}

/** Seconds within which a refresh token that was used once may be used once more. */
const graceSeconds = 10;

/** One that has not ended: neither itself, nor the session it is bound to; and whose user may still log in. */
export async function findLiveGrant(db: Queryable, id: string): Promise<LiveGrant | undefined> {
  const [row] = await db<LiveGrant[]>`
    SELECT g.id, g.user_id AS "userId", c.client_id AS "clientId", g.granted, g.refresh_token AS "refreshToken",
           g.refresh_counter AS "refreshCounter",
           g.refreshed_at > now() - make_interval(secs => ${graceSeconds}) AS "isInGrace",
           extract(epoch FROM g.refreshed_at)::float AS "refreshedAt",
           extract(epoch FROM g.created_at)::float AS "createdAt",
           extract(epoch FROM g.expires_at)::float AS "expiresAt"
    FROM oauth_grants g
    JOIN clients c ON c.id = g.client_id
    JOIN users u ON u.id = g.user_id AND u.disabled_at IS NULL
    LEFT JOIN sessions s ON s.id = g.session_id
    WHERE g.id = ${id} AND g.revoked_at IS NULL AND g.expires_at > now()
      AND (g.session_id IS NULL OR (s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()))`;
  return row;
}

/** Keeps what refresh tokens are made of, as the first of them is issued. */
export async function storeRefreshToken(db: Queryable, id: string, made: Record<string, unknown>): Promise<void> {
  await db`UPDATE oauth_grants SET refresh_token = ${db.json(made as never)}, refreshed_at = now() WHERE id = ${id}`;
}

/**
 * Turns the counter of a grant if it is the token's, or leaves it if the token was the last one, just now. One statement, so
 * of parallel calls one turns it and the others, having waited for the row, find themselves in the grace.
 * @returns false where the token is good for neither
 */
export async function advanceGrant(db: Queryable, id: string, counter: number): Promise<boolean> {
  const rows = await db`
    UPDATE oauth_grants SET
      refresh_counter = ${counter + 1},
      refreshed_at = CASE WHEN refresh_counter = ${counter} THEN now() ELSE refreshed_at END
    WHERE id = ${id} AND revoked_at IS NULL AND expires_at > now()
      AND (refresh_counter = ${counter}
           OR (refresh_counter = ${counter + 1}
               AND refreshed_at > now() - make_interval(secs => ${graceSeconds})))
    RETURNING id`;
  return rows.length > 0;
}

/** Ends a grant; returns whose it was, if it lived. */
export async function endGrant(
  db: Queryable,
  id: string,
): Promise<{ tenantId: string; userId: string; clientId: string } | undefined> {
  const [row] = await db<{ tenantId: string; userId: string; clientId: string }[]>`
    UPDATE oauth_grants g SET revoked_at = now() FROM clients c
    WHERE g.id = ${id} AND g.revoked_at IS NULL AND c.id = g.client_id
    RETURNING c.tenant_id AS "tenantId", g.user_id AS "userId", c.client_id AS "clientId"`;
  return row;
}

/** Ends every grant of a user to a client; returns their ids. */
export async function endGrantsOf(db: Queryable, userId: string, clientUuid: string): Promise<string[]> {
  const rows = await db<{ id: string }[]>`
    UPDATE oauth_grants SET revoked_at = now()
    WHERE user_id = ${userId} AND client_id = ${clientUuid} AND revoked_at IS NULL RETURNING id`;
  return rows.map(({ id }) => id);
}

/** Removes grants that ended so long ago that no token of theirs can be alive. */
export async function purgeGrants(db: Queryable): Promise<void> {
  await db`
    DELETE FROM oauth_grants
    WHERE expires_at < now() - interval '2 days' OR revoked_at < now() - interval '2 days'`;
}
