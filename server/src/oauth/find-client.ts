import type { Database } from '../database/database.ts';
import { isClientId } from './client.ts';
import { findStoredClient, type StoredClient } from './store.ts';

export type FindClient = (clientId: string) => Promise<StoredClient | undefined>;

// Short, because rotation and deletion by a command beside the running server must take effect; long enough that the
// number of tokens a second is not the number of database reads.
const rememberMs = 1_000;
const maxRemembered = 1_000;

/** Finds clients by the id that callers know, remembered for a second. */
export function makeFindClient(db: Database): FindClient {
  const remembered = new Map<string, { client: Promise<StoredClient | undefined>; until: number }>();
  return async (clientId) => {
    if (!isClientId(clientId)) return undefined;
    const known = remembered.get(clientId);
    if (known && known.until > performance.now()) return known.client;
    if (remembered.size >= maxRemembered) remembered.clear();
    // Calls that come while it is read share one read.
    const client = findStoredClient(db, clientId);
    client.catch(() => remembered.delete(clientId));
    remembered.set(clientId, { client, until: performance.now() + rememberMs });
    return client;
  };
}
