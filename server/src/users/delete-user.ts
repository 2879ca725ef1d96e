import { recordAudit } from '../audit/record.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import { lockUser, removeUser } from './store.ts';
import type { User } from './user.ts';

/**
 * Ends every session of a user but one, in the caller's transaction.
 * @returns what to call after the commit, so that this process need not wait to hear of it
 */
export type EndSessions = (tx: Transaction, userId: string, except?: string) => Promise<() => void>;

/** Takes a person out of the mail history of a tenant, and their unsent letters out of the queue. */
export type AnonymizeEmails = (
  db: Queryable,
  whose: { tenantId: string; userId: string; address?: string },
) => Promise<void>;

export interface DeleteWorld {
  db: Database;
  endSessions: EndSessions;
  anonymizeEmails: AnonymizeEmails;
}

/** Deletes a user with sessions, codes and tokens, and whatever mail history says about them. */
export async function deleteUser(
  { db, endSessions, anonymizeEmails }: DeleteWorld,
  user: User,
  actor?: string,
): Promise<void> {
  const { id: userId, tenantId, email } = user;
  const announce = await db.begin(async (tx) => {
    // Before what belongs to it, as everywhere: whoever changes the password holds the user and comes to the sessions.
    await lockUser(tx, userId);
    const ended = await endSessions(tx, userId);
    if (await removeUser(tx, tenantId, userId)) {
      await anonymizeEmails(tx, { tenantId, userId, ...(email === null ? {} : { address: email }) });
      await recordAudit(tx, { tenantId, type: 'user.deleted', userId, ...(actor === undefined ? {} : { actor }) });
    }
    return ended;
  });
  announce();
}
