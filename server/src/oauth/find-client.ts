import type { Database } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import { isClientId } from './client.ts';
import { findStoredClients, type StoredClient } from './store.ts';

/** Finds a client by the id that callers know. */
export type FindClient = (clientId: string) => Promise<StoredClient | undefined>;

export interface ClientDirectory {
  /** As it was a second ago at most. */
  findClient: FindClient;
  /** As it is stored now. */
  readClient: FindClient;
}

// Short, because what another node or a command has changed must take effect; long enough that the number of tokens a
// second is not the number of database reads.
const rememberMs = 1_000;
const maxRemembered = 1_000;
const maxTogether = 200;

export function openClientDirectory(db: Database): ClientDirectory {
  const remembered = new Map<string, { client: StoredClient; until: number }>();
  // Those of a moment share a read, so that no number of wrong secrets makes more than two at once.
  const read = gather((clientIds: string[]) => readTogether(db, clientIds), {
    writers: 2,
    maxItems: maxTogether,
    maxSize: maxTogether,
    sizeOf: () => 1,
  });
  const readClient: FindClient = async (clientId) => {
    if (!isClientId(clientId)) return undefined;
    const until = performance.now() + rememberMs;
    const client = await read(clientId);
    remembered.delete(clientId);
    // Who is not there may be there in a moment.
    if (client === null) return undefined;
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(clientId, { client, until });
    return client;
  };
  return {
    readClient,
    findClient: async (clientId) => {
      const known = remembered.get(clientId);
      return known && known.until > performance.now() ? known.client : readClient(clientId);
    },
  };
}

async function readTogether(db: Database, clientIds: string[]): Promise<(StoredClient | null)[]> {
  const found = await findStoredClients(db, [...new Set(clientIds)]);
  const byId = new Map(found.map((client) => [client.clientId, client]));
  return clientIds.map((clientId) => byId.get(clientId) ?? null);
}
