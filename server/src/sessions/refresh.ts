import { recordAudit } from '../audit/record.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Database } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import { invalidRefreshToken } from './errors.ts';
import type { Revocations } from './revocations.ts';
import { currentTokens, readRefreshToken, type SessionTimes, type TokenWorld } from './session.ts';
import { advanceSessions, endReusedSession, type NamedSession, type RefreshedSession } from './store.ts';

export interface RefreshWorld extends TokenWorld, SessionTimes {
  db: Database;
  tenantSlug: (id: string) => Promise<string>;
  revocations: Revocations;
  advance: Advance;
}

/** Turns the counter of one session; none where its token is not good. */
export type Advance = (named: NamedSession) => Promise<{ session: RefreshedSession | undefined }>;

/** Those who come at the same time share a statement and its commit. */
export function makeAdvance({ db, refreshTokenSeconds }: { db: Database } & SessionTimes): Advance {
  return gather((named: NamedSession[]) => advanceTogether(db, named, refreshTokenSeconds), {
    writers: 2,
    maxItems: 500,
    maxSize: 500,
    sizeOf: () => 1,
  });
}

/** Where tokens of one session differ, each has a statement of its own, one after the other. */
async function advanceTogether(db: Database, asked: NamedSession[], refreshTokenSeconds: number) {
  const results: Awaited<ReturnType<Advance>>[] = asked.map(() => ({ session: undefined }));
  for (let left = [...asked.entries()]; left.length > 0; ) {
    const taken = new Map<string, NamedSession>();
    // In one order, so that two statements which meet do not each wait for the other.
    for (const [, named] of left) if (!taken.has(named.sessionId)) taken.set(named.sessionId, named);
    const sorted = [...taken.values()].sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
    const done = new Map((await advanceSessions(db, sorted, refreshTokenSeconds)).map((one) => [one.id, one]));
    const isTaken = ({ sessionId, counter }: NamedSession) => taken.get(sessionId)?.counter === counter;
    for (const [index, named] of left) if (isTaken(named)) results[index] = { session: done.get(named.sessionId) };
    left = left.filter(([, named]) => !isTaken(named));
  }
  return results;
}

/**
 * Trades a refresh token for the next pair. The one before it, within the grace, gets the current pair again; any other
 * one means that two parties hold the family, and nobody can tell which is the thief: the session ends (RFC 9700 §4.14).
 * @throws invalidRefreshToken
 */
export async function refresh(world: RefreshWorld, refreshToken: string): Promise<Token> {
  const named = readRefreshToken(world.secrets, refreshToken);
  if (!named) throw invalidRefreshToken({ detail: 'It is none of ours. Log in again.' });
  const { session } = await world.advance(named);
  if (!session) {
    await endIfReused(world, named);
    throw invalidRefreshToken({ detail: 'Its session has ended. Log in again.' });
  }
  const tenantSlug = await world.tenantSlug(session.tenantId);
  return currentTokens(world, session, { tenantSlug });
}

async function endIfReused({ db, revocations }: RefreshWorld, named: { sessionId: string; counter: number }) {
  const announce = await db.begin(async (tx) => {
    const owner = await endReusedSession(tx, named);
    if (!owner) return () => {};
    await recordAudit(tx, { ...owner, type: 'session.reuse_detected', data: { session: named.sessionId } });
    return revocations.revoke(tx, [named.sessionId]);
  });
  announce();
}
