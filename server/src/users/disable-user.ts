/** Keeping a user out, and letting them in again. Everything about them stays. */
import { recordAudit } from '../audit/record.ts';
import { endChallenges } from '../challenges/store.ts';
import type { Database } from '../database/database.ts';
import { cancelOf } from '../emails/cancel.ts';
import type { EndSessions } from './delete-user.ts';
import { dropEmailChange } from './email-change-store.ts';
import { userNotFound } from './errors.ts';
import { lockUser, setDisabled } from './store.ts';
import type { User } from './user.ts';

export interface DisableWorld {
  db: Database;
  endSessions: EndSessions;
}

/**
 * Disables a user: sessions, codes and links end, and mail of theirs that waits is canceled. Their tokens are dead on
 * every node within a second.
 * @throws userNotFound
 */
export async function disableUser(
  { db, endSessions }: DisableWorld,
  { id, tenantId }: User,
  actor?: string,
): Promise<User> {
  const done = await db.begin(async (tx) => {
    await lockUser(tx, id);
    const user = await setDisabled(tx, id, true);
    if (!user) throw userNotFound();
    await endChallenges(tx, id);
    await dropEmailChange(tx, id);
    await cancelOf(tx, user);
    await recordAudit(tx, { tenantId, type: 'user.disabled', userId: id, ...(actor === undefined ? {} : { actor }) });
    return { user, announce: await endSessions(tx, id) };
  });
  done.announce();
  return done.user;
}

/** @throws userNotFound */
export async function enableUser({ db }: { db: Database }, { id, tenantId }: User, actor?: string): Promise<User> {
  return db.begin(async (tx) => {
    const user = await setDisabled(tx, id, false);
    if (!user) throw userNotFound();
    await recordAudit(tx, { tenantId, type: 'user.enabled', userId: id, ...(actor === undefined ? {} : { actor }) });
    return user;
  });
}
