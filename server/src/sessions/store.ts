import { auditRecords } from '../audit/record.ts';
import { column, type Queryable } from '../database/database.ts';
import { type Rights, readRights, rightsOf, type StoredRights } from '../roles/rights.ts';
import type { LiveSession } from './session.ts';

const liveColumns = (db: Queryable) => db`
  s.id, s.user_id AS "userId", s.refresh_counter AS "refreshCounter",
  extract(epoch FROM s.refreshed_at)::float AS "refreshedAt", extract(epoch FROM s.expires_at)::float AS "expiresAt",
  extract(epoch FROM now())::float AS now, s.methods,
  extract(epoch FROM coalesce(s.authenticated_at, s.created_at))::float AS "authenticatedAt",
  ${rightsOfUser(db)} AS rights`;

const rightsOfUser = (db: Queryable) => db`(SELECT ${rightsOf(db, 'u')} FROM users u WHERE u.id = s.user_id)`;

function withRights<Row extends { rights: StoredRights }>(row: Row): Omit<Row, 'rights'> & { rights: Rights } {
  return { ...row, rights: readRights(row.rights) };
}

type Stored<Row> = Omit<Row, 'rights'> & { rights: StoredRights };

export interface NewSession {
  id: string;
  tenantId: string;
  userId: string;
  userAgent?: string;
  ip: string;
  methods: readonly string[];
  /** As it was when the password was checked. */
  passwordHash: string | null;
}

/**
 * The new sessions, each undefined where the user was deleted, disabled, or got another password or a second factor since
 * it was checked: whoever knows the old one must not slip in behind the change that ended all sessions. The lock makes
 * the two wait for each other. The audit records are part of the statement: a login then needs no transaction around it,
 * which would cost as much again.
 */
export async function insertSessions(
  db: Queryable,
  sessions: readonly NewSession[],
  { refreshTokenSeconds, sessionSeconds }: { refreshTokenSeconds: number; sessionSeconds: number },
): Promise<(LiveSession | undefined)[]> {
  // In one order, so that two statements which meet do not each wait for the other.
  const sorted = [...sessions].sort((a, b) => (a.userId < b.userId ? -1 : 1));
  const rows = await db<Stored<LiveSession>[]>`
    WITH made AS (
    INSERT INTO sessions AS s (id, tenant_id, user_id, user_agent, ip, methods, authenticated_at, idle_expires_at, expires_at)
    SELECT new.id, new.tenant_id, u.id, new.user_agent, new.ip, new.methods::text[], now(),
           now() + make_interval(secs => ${Math.min(refreshTokenSeconds, sessionSeconds)}),
           now() + make_interval(secs => ${sessionSeconds})
    FROM unnest(${column(sorted, ({ id }) => id)}::uuid[], ${column(sorted, ({ tenantId }) => tenantId)}::uuid[],
                ${column(sorted, ({ userId }) => userId)}::uuid[],
                ${column(sorted, ({ passwordHash }) => passwordHash ?? undefined)}::text[],
                ${column(sorted, ({ userAgent }) => userAgent)}::text[], ${column(sorted, ({ ip }) => ip)}::text[],
                ${column(sorted, ({ methods }) => `{${methods.join()}}`)}::text[])
           AS new (id, tenant_id, user_id, password_hash, user_agent, ip, methods),
         LATERAL (SELECT id FROM users
                  WHERE id = new.user_id AND password_hash IS NOT DISTINCT FROM new.password_hash
                    AND disabled_at IS NULL AND (NOT has_second_factor OR new.methods::text[] @> '{mfa}') FOR SHARE) u
    RETURNING ${liveColumns(db)}, s.tenant_id, s.ip),
    ${auditRecords(
      db,
      'user.logged_in',
      db`SELECT new_uuid7(), tenant_id, 'user:' || "userId", "userId", ip, NULL::jsonb FROM made`,
    )}
    SELECT * FROM made`;
  const made = new Map(rows.map((row) => [row.id, withRights(row)]));
  return sessions.map(({ id }) => made.get(id));
}

/** Seconds within which a token that was used once may be used once more: a lost reply, two tabs. */
const graceSeconds = 10;

export type RefreshedSession = LiveSession & { tenantId: string };

/** What a refresh token names. */
export interface NamedSession {
  sessionId: string;
  counter: number;
}

/**
 * Turns the counter of each session if it is its token's, or returns the session as it is if the token was the last one,
 * just now. One statement, so of parallel calls one turns it and the others, having waited for the row, find themselves in
 * the grace.
 * @param named each session once
 * @returns those whose token is good for either
 */
export async function advanceSessions(
  db: Queryable,
  named: readonly NamedSession[],
  refreshTokenSeconds: number,
): Promise<RefreshedSession[]> {
  const ids = named.map(({ sessionId }) => sessionId);
  const counters = named.map(({ counter }) => counter);
  const rows = await db<Stored<RefreshedSession>[]>`
    UPDATE sessions s SET
      refresh_counter = t.counter + 1,
      refreshed_at = CASE WHEN s.refresh_counter = t.counter THEN now() ELSE s.refreshed_at END,
      idle_expires_at = CASE WHEN s.refresh_counter = t.counter
        THEN least(now() + make_interval(secs => ${refreshTokenSeconds}), s.expires_at) ELSE s.idle_expires_at END
    FROM unnest(${ids}::uuid[], ${counters}::int[]) AS t (session_id, counter)
    WHERE s.id = t.session_id
      AND s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
      AND (s.refresh_counter = t.counter
           OR (s.refresh_counter = t.counter + 1
               AND s.refreshed_at > now() - make_interval(secs => ${graceSeconds})))
    RETURNING ${liveColumns(db)}, s.tenant_id AS "tenantId"`;
  return rows.map(withRights);
}

/** Notes that whoever holds a live session has authenticated again, and turns its counter: its next tokens say so. */
export async function renewSession(
  db: Queryable,
  {
    sessionId,
    methods,
    refreshTokenSeconds,
  }: {
    sessionId: string;
    methods: readonly string[];
    refreshTokenSeconds: number;
  },
): Promise<RefreshedSession | undefined> {
  const [row] = await db<Stored<RefreshedSession>[]>`
    UPDATE sessions s SET
      refresh_counter = s.refresh_counter + 1, refreshed_at = now(), authenticated_at = now(),
      methods = ARRAY(SELECT DISTINCT unnest(s.methods || ${methods as string[]}::text[])),
      idle_expires_at = least(now() + make_interval(secs => ${refreshTokenSeconds}), s.expires_at)
    WHERE s.id = ${sessionId}
      AND s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
    RETURNING ${liveColumns(db)}, s.tenant_id AS "tenantId"`;
  return row && withRights(row);
}

/** Ends a session whose refresh token came back although a newer one is out; returns whose it was. */
export async function endReusedSession(
  db: Queryable,
  { sessionId, counter }: { sessionId: string; counter: number },
): Promise<{ tenantId: string; userId: string } | undefined> {
  const [row] = await db<{ tenantId: string; userId: string }[]>`
    UPDATE sessions SET revoked_at = now()
    WHERE id = ${sessionId} AND revoked_at IS NULL AND expires_at > now() AND refresh_counter <> ${counter}
    RETURNING tenant_id AS "tenantId", user_id AS "userId"`;
  return row;
}

/** Ends one live session of a user; false where there is none. */
export async function endSession(db: Queryable, userId: string, sessionId: string): Promise<boolean> {
  const rows = await db`
    UPDATE sessions SET revoked_at = now()
    WHERE id = ${sessionId} AND user_id = ${userId} AND revoked_at IS NULL RETURNING id`;
  return rows.length > 0;
}

/**
 * Ends every live session of a user but one, every login that waits for a second factor, and what clients hold in the
 * user's name but for what hangs on that one session; returns the ids of the sessions and of the grants.
 */
export async function endUserSessions(db: Queryable, userId: string, except?: string): Promise<string[]> {
  await db`DELETE FROM sign_ins WHERE user_id = ${userId}`;
  const kept = except ?? null;
  const rows = await db<{ id: string }[]>`
    WITH ended AS (
      UPDATE sessions SET revoked_at = now()
      WHERE user_id = ${userId} AND revoked_at IS NULL AND id IS DISTINCT FROM ${kept}::uuid RETURNING id
    ), taken AS (
      UPDATE oauth_grants SET revoked_at = now()
      WHERE user_id = ${userId} AND revoked_at IS NULL AND (session_id IS NULL OR session_id IS DISTINCT FROM ${kept}::uuid)
      RETURNING id
    )
    SELECT id FROM ended UNION ALL SELECT id FROM taken`;
  return rows.map((row) => row.id);
}

export interface SessionSummary {
  id: string;
  userAgent: string | null;
  ip: string | null;
  createdAt: Date;
  refreshedAt: Date;
  expiresAt: Date;
}

/** A user's live sessions, newest first, by keyset. */
export async function liveSessions(
  db: Queryable,
  userId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<SessionSummary[]> {
  return db<SessionSummary[]>`
    SELECT id, user_agent AS "userAgent", ip, created_at AS "createdAt", refreshed_at AS "refreshedAt",
           least(idle_expires_at, expires_at) AS "expiresAt"
    FROM sessions
    WHERE user_id = ${userId} AND revoked_at IS NULL AND idle_expires_at > now() AND expires_at > now()
      ${after === undefined ? db`` : db`AND id < ${after}`}
    ORDER BY id DESC LIMIT ${limit}`;
}

export type TouchedSession = Pick<LiveSession, 'userId' | 'rights' | 'methods' | 'authenticatedAt'> & {
  tenantId: string;
  /** Until it ends if it is not used. */
  secondsLeft: number;
};

/**
 * Notes that a live session is used, which keeps it from ending idle; returns whose it is, unless they are disabled. What
 * was noted just now is not noted again: a page that only reads then waits for no commit.
 * @param notedSeconds for how long one note is enough
 */
export async function touchSession(
  db: Queryable,
  id: string,
  { idleSeconds, notedSeconds }: { idleSeconds: number; notedSeconds: number },
): Promise<TouchedSession | undefined> {
  const [row] = await db<Stored<TouchedSession>[]>`
    WITH live AS (
      SELECT s.* FROM sessions s
      WHERE s.id = ${id} AND s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
    ), touched AS (
      UPDATE sessions s SET
        refreshed_at = now(), idle_expires_at = least(now() + make_interval(secs => ${idleSeconds}), s.expires_at)
      FROM live
      WHERE s.id = live.id AND live.refreshed_at < now() - make_interval(secs => ${notedSeconds})
    )
    SELECT live.user_id AS "userId", live.tenant_id AS "tenantId", live.methods,
           extract(epoch FROM coalesce(live.authenticated_at, live.created_at))::float AS "authenticatedAt",
           extract(epoch FROM live.idle_expires_at - now())::float AS "secondsLeft",
           ${rightsOf(db, 'u')} AS rights
    FROM live JOIN users u ON u.id = live.user_id AND u.disabled_at IS NULL`;
  return row && withRights(row);
}

/** Every session of a user that is kept, also those that have ended, newest first. */
export async function sessionsEver(
  db: Queryable,
  userId: string,
): Promise<(SessionSummary & { revokedAt: Date | null })[]> {
  return db<(SessionSummary & { revokedAt: Date | null })[]>`
    SELECT id, user_agent AS "userAgent", ip, created_at AS "createdAt", refreshed_at AS "refreshedAt",
           least(idle_expires_at, expires_at) AS "expiresAt", revoked_at AS "revokedAt"
    FROM sessions WHERE user_id = ${userId} ORDER BY id DESC`;
}

/** IP addresses of a user's live sessions. */
export async function sessionAddresses(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db<{ ip: string }[]>`
    SELECT DISTINCT ip FROM sessions
    WHERE user_id = ${userId} AND revoked_at IS NULL AND idle_expires_at > now() AND expires_at > now()
      AND ip IS NOT NULL`;
  return rows.map(({ ip }) => ip);
}

/** A session that a refresh token of this counter can still be used for. */
export async function refreshableSession(
  db: Queryable,
  { sessionId, counter }: { sessionId: string; counter: number },
): Promise<{ tenantId: string; userId: string; rights: Rights; idleExpiresAt: number } | undefined> {
  const [row] = await db<{ tenantId: string; userId: string; rights: StoredRights; idleExpiresAt: number }[]>`
    SELECT s.tenant_id AS "tenantId", s.user_id AS "userId", ${rightsOf(db, 'u')} AS rights,
           extract(epoch FROM s.idle_expires_at)::float AS "idleExpiresAt"
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = ${sessionId} AND s.refresh_counter = ${counter}
      AND s.revoked_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()`;
  return row && withRights(row);
}

/** Removes sessions that ended so long ago that no token of theirs can be alive. */
export async function purgeSessions(db: Queryable): Promise<void> {
  await db`DELETE FROM sessions WHERE expires_at < now() - interval '2 days'`;
}

// ------------------------------------------------------------------------------------------------- revocations

export interface Revocation {
  subject: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

/** Revokes in the caller's transaction; every node hears of it once that is committed. */
export async function insertRevocations(db: Queryable, subjects: readonly string[], seconds: number): Promise<void> {
  if (subjects.length === 0) return;
  await db`
    INSERT INTO revocations (subject, expires_at)
    SELECT subject, now() + make_interval(secs => ${seconds}) FROM unnest(${subjects as string[]}::text[]) AS subject
    ON CONFLICT (subject) DO UPDATE SET
      revoked_at = clock_timestamp(), expires_at = greatest(revocations.expires_at, excluded.expires_at)`;
}

/** Those made since an instant of an earlier answer, or all that live; and the instant of this one. */
export async function revocationsSince(
  db: Queryable,
  since: string | undefined,
  overlapSeconds: number,
): Promise<{ readAt: string; revocations: Revocation[] }> {
  const from =
    since === undefined ? db`` : db`AND revoked_at > ${since}::timestamptz - make_interval(secs => ${overlapSeconds})`;
  const [row] = await db<{ readAt: string; revocations: [string, number][] | null }[]>`
    SELECT now()::text AS "readAt",
      (SELECT json_agg(json_build_array(subject, extract(epoch FROM expires_at) * 1000))
       FROM revocations WHERE expires_at > now() ${from}) AS revocations`;
  if (!row) throw new Error('The revocations gave no answer.');
  return {
    readAt: row.readAt,
    revocations: (row.revocations ?? []).map(([subject, expiresAt]) => ({ subject, expiresAt })),
  };
}

export async function whichRevoked(db: Queryable, subjects: readonly string[]): Promise<string[]> {
  const rows = await db<{ subject: string }[]>`
    SELECT DISTINCT subject FROM revocations WHERE subject = ANY(${subjects as string[]}::text[])`;
  return rows.map(({ subject }) => subject);
}

export async function purgeRevocations(db: Queryable): Promise<void> {
  await db`DELETE FROM revocations WHERE expires_at < now()`;
}
