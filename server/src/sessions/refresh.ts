import { recordAudit } from '../audit/record.ts';
import type { Token } from '../crypto/schemas.ts';
import type { Database } from '../database/database.ts';
import { invalidRefreshToken } from './errors.ts';
import type { Revocations } from './revocations.ts';
import { currentTokens, readRefreshToken, type SessionTimes, type TokenWorld } from './session.ts';
import { advanceSession, endReusedSession } from './store.ts';

export interface RefreshWorld extends TokenWorld, SessionTimes {
  db: Database;
  tenantSlug: (id: string) => Promise<string>;
  revocations: Revocations;
}

/**
 * Trades a refresh token for the next pair. The one before it, within the grace, gets the current pair again; any other
 * one means that two parties hold the family, and nobody can tell which is the thief: the session ends (RFC 9700 §4.14).
 * @throws invalidRefreshToken
 */
export async function refresh(world: RefreshWorld, refreshToken: string): Promise<Token> {
  const { db, secrets, refreshTokenSeconds } = world;
  const named = readRefreshToken(secrets, refreshToken);
  if (!named) throw invalidRefreshToken({ detail: 'It is none of ours. Log in again.' });
  const session = await advanceSession(db, { ...named, refreshTokenSeconds });
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
