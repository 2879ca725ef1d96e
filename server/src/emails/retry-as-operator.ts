import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { checkId, missing, readEmail } from './history.ts';
import { retry } from './retry.ts';

/**
 * Sends a letter of any tenant again, as its mail administrator could. Workers find it at their next look.
 * @returns its status after that
 * @throws emailNotFound, notRetryable
 */
export async function retryAsOperator(db: Database, id: string): Promise<string> {
  const [email] = await db<{ tenantId: string }[]>`
    SELECT tenant_id AS "tenantId" FROM emails WHERE id = ${checkId(id)}`;
  if (!email) throw missing();
  const { tenantId } = email;
  const operator: Caller = { kind: 'client', id: 'cli', name: 'cli', tenantId, scopes: new Set(['mail:admin']) };
  await retry({ db, wakeWorkers: () => {} }, operator, id);
  return (await readEmail(db, operator, id)).status;
}
