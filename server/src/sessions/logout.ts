import { recordAudit } from '../audit/record.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { sessionNotFound } from './errors.ts';
import type { Revocations } from './revocations.ts';
import { endSession, endUserSessions } from './store.ts';

interface World {
  db: Database;
  revocations: Revocations;
}

/** Ends the caller's session, or all of the user's; their tokens are dead on every node within a second. */
export async function logout({ db, revocations }: World, caller: Caller, everywhere: boolean): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const { tenantId, name: actor, id: userId, sessionId } = caller;
    await recordAudit(tx, { tenantId, type: 'user.logged_out', actor, userId, data: { everywhere } });
    if (everywhere || sessionId === undefined) return endSessions({ revocations }, tx, userId);
    await endSession(tx, userId, sessionId);
    return revocations.revoke(tx, [sessionId]);
  });
  announce();
}

/**
 * Ends one session of the caller's user.
 * @throws sessionNotFound
 */
export async function deleteSession({ db, revocations }: World, caller: Caller, sessionId: string): Promise<void> {
  const announce = await db.begin(async (tx) => {
    if (!(await endSession(tx, caller.id, sessionId))) throw sessionNotFound();
    const { tenantId, name: actor, id: userId } = caller;
    await recordAudit(tx, { tenantId, type: 'user.logged_out', actor, userId, data: { session: sessionId } });
    return revocations.revoke(tx, [sessionId]);
  });
  announce();
}

/** Ends every session of a user but one, in the caller's transaction; call what it returns after the commit. */
export async function endSessions(
  { revocations }: { revocations: Pick<Revocations, 'revoke'> },
  tx: Transaction,
  userId: string,
  except?: string,
): Promise<() => void> {
  return revocations.revoke(tx, await endUserSessions(tx, userId, except));
}
