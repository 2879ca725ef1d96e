import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { notRetryable } from './errors.ts';
import { readEmail } from './history.ts';
import { hastenEmail, reopenEmail } from './store.ts';

/**
 * Sends a letter again now: one that waits for its next attempt, or one that failed, bounced or is uncertain, to those
 * of its recipients that did not get it. Message-ID and date stay what they were.
 * @throws emailNotFound, notRetryable
 */
export async function retry(
  { db, wakeWorkers }: { db: Database; wakeWorkers: () => void },
  caller: Caller,
  id: string,
): Promise<void> {
  const email = await readEmail(db, caller, id);
  if (!(await hastenEmail(db, email.id)) && !(await reopenEmail(db, email.id, newId()))) {
    const { status } = await readEmail(db, caller, id);
    throw notRetryable({
      detail:
        `This email is ${status}. Deferred, failed, bounced and uncertain ones can be sent again, unless they have ` +
        'expired or held a code or link that is no longer stored.',
    });
  }
  wakeWorkers();
}
