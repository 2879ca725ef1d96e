import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { notCancelable } from './errors.ts';
import { readEmail } from './history.ts';
import { cancelEmail } from './store.ts';

/**
 * Stops a letter that is scheduled, queued or waits for another attempt, and that no worker has taken up.
 * @throws emailNotFound, notCancelable
 */
export async function cancel({ db }: { db: Database }, caller: Caller, id: string): Promise<void> {
  const email = await readEmail(db, caller, id);
  if (await cancelEmail(db, email.id, newId())) return;
  const { status } = await readEmail(db, caller, id);
  throw notCancelable({ detail: `Only scheduled, queued and deferred emails can be canceled; this one is ${status}.` });
}
