import { newId } from '../crypto/ids.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { notCancelable } from './errors.ts';
import { readEmail } from './history.ts';
import { cancelEmails, holdEmailsOf } from './store.ts';

/**
 * Stops a letter that is scheduled, queued or waits for another attempt, and that no worker has taken up.
 * @throws emailNotFound, notCancelable
 */
export async function cancel({ db }: { db: Database }, caller: Caller, id: string): Promise<void> {
  const email = await readEmail(db, caller, id);
  if ((await cancelEmails(db, [{ id: email.id, eventId: newId() }])) > 0) return;
  const { status } = await readEmail(db, caller, id);
  throw notCancelable({ detail: `Only scheduled, queued and deferred emails can be canceled; this one is ${status}.` });
}

/** Stops what waits of a user's, in the caller's transaction. */
export async function cancelOf(
  tx: Transaction,
  { tenantId, id: userId }: { tenantId: string; id: string },
): Promise<void> {
  const ids = await holdEmailsOf(tx, tenantId, userId);
  if (ids.length > 0)
    await cancelEmails(
      tx,
      ids.map((id) => ({ id, eventId: newId() })),
    );
}
