import { newId } from '../crypto/ids.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Database, Queryable } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import type { Method } from '../second-factors/second-factor.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { invalidCredentials } from '../users/errors.ts';
import type { Origin, User } from '../users/user.ts';
import { currentTokens, type LiveSession, type SessionTimes, type TokenWorld } from './session.ts';
import { insertSessions, type NewSession } from './store.ts';

export interface Login {
  user: User;
  tenant: Tenant;
  origin: Origin;
  /** How the user has authenticated. */
  methods: readonly Method[];
}

/**
 * Logs a user in, in the caller's transaction.
 * @throws invalidCredentials when the user or the password is not the one that was checked any more, or owes a second factor
 */
export async function createSession(world: TokenWorld & SessionTimes, tx: Queryable, login: Login): Promise<Token> {
  const session = await makeSession(world, tx, login);
  return currentTokens(world, session, { tenantSlug: login.tenant.slug });
}

/** The session alone, for who needs no tokens. @throws as createSession */
export async function makeSession(times: SessionTimes, tx: Queryable, login: Login): Promise<LiveSession> {
  const [session] = await insertSessions(tx, [newSession(login)], times);
  if (!session) throw invalidCredentials();
  return session;
}

/** The session of one, written with those of others. */
export type InsertSession = (session: NewSession) => Promise<{ session: LiveSession | undefined }>;

/** Those who log in at the same time share a statement and its commit. */
export function makeInsertSession({ db, ...times }: { db: Database } & SessionTimes): InsertSession {
  return gather(
    async (sessions: NewSession[]) => (await insertSessions(db, sessions, times)).map((session) => ({ session })),
    { writers: 2, maxItems: 500, maxSize: 500, sizeOf: () => 1 },
  );
}

/** Logs a user in outside of any transaction. @throws as createSession */
export async function createSessionAmongOthers(
  world: TokenWorld & { insertSession: InsertSession },
  login: Login,
): Promise<Token> {
  const { session } = await world.insertSession(newSession(login));
  if (!session) throw invalidCredentials();
  return currentTokens(world, session, { tenantSlug: login.tenant.slug });
}

function newSession({ user, tenant, origin, methods }: Login): NewSession {
  const { id: userId, passwordHash } = user;
  return { id: newId(), tenantId: tenant.id, userId, ...origin, methods, passwordHash };
}
