import { recordAudit } from '../audit/record.ts';
import type { PasswordHasher } from '../crypto/passwords.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import type { EndSessions } from './delete-user.ts';
import { dropEmailChange } from './email-change-store.ts';
import { invalidCredentials } from './errors.ts';
import { findUserById, replacePasswordHash } from './store.ts';

/**
 * Changes a user's password, by the one they have; every other session of theirs ends, and so does a change of address
 * that waits to be confirmed.
 * @throws invalidCredentials, busy
 */
export async function changePassword(
  { db, passwords, endSessions }: { db: Database; passwords: PasswordHasher; endSessions: EndSessions },
  caller: Caller,
  { current, next }: { current: string; next: string },
): Promise<void> {
  const wrong = () => invalidCredentials({ detail: 'The current password is wrong.' });
  const user = await findUserById(db, caller.tenantId, caller.id);
  const hash = user?.passwordHash ?? undefined;
  const { ok } = await passwords.verify(hash, current);
  if (!ok || hash === undefined) throw wrong();
  const newHash = await passwords.hash(next);
  const announce = await db.begin(async (tx) => {
    if (!(await replacePasswordHash(tx, caller.id, hash, newHash))) throw wrong(); // changed meanwhile
    // A change of address that is on its way may be a stranger's who knew the former password.
    await dropEmailChange(tx, caller.id);
    const { tenantId, name: actor, id: userId } = caller;
    await recordAudit(tx, { tenantId, type: 'user.password_changed', actor, userId });
    return endSessions(tx, caller.id, caller.sessionId);
  });
  announce();
}
