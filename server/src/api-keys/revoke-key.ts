import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import { keyNotFound } from './errors.ts';
import { keyExists, markRevoked } from './store.ts';

/**
 * Revokes a key for good; it is dead on every node within a second. Once more changes nothing.
 * @throws keyNotFound
 */
export async function revokeKey({ db }: { db: Database }, id: string): Promise<void> {
  const missing = () => keyNotFound({ detail: `There is no API key "${id}".` });
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) throw missing();
  await db.begin(async (tx) => {
    const tenantId = await markRevoked(tx, id);
    if (tenantId !== undefined) await recordAudit(tx, { tenantId, type: 'api_key.revoked', data: { key: id } });
    else if (!(await keyExists(tx, id))) throw missing();
  });
}
