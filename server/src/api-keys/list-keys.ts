import type { Database } from '../database/database.ts';
import type { ApiKey } from './api-key.ts';
import { allKeys } from './store.ts';

/** Of one tenant, or of all; revoked and expired ones too, for they say what was once in use. */
export async function listKeys({ db }: { db: Database }, tenantId?: string): Promise<ApiKey[]> {
  return allKeys(db, tenantId);
}
