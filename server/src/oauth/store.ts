import type { Queryable } from '../database/database.ts';
import type { Client } from './client.ts';

interface ClientRow {
  id: string;
  client_id: string;
  tenant_id: string;
  secret_hash: Buffer | null;
  scopes: string[];
  grants: string[];
  redirect_uris: string[];
  created_at: Date;
}

/** A client and what its secret is compared with. */
export type StoredClient = Client & { secretHash: Buffer | null };

const toClient = (row: ClientRow): StoredClient => ({
  id: row.id,
  clientId: row.client_id,
  tenantId: row.tenant_id,
  isPublic: row.secret_hash === null,
  scopes: row.scopes,
  grants: row.grants,
  redirectUris: row.redirect_uris,
  createdAt: row.created_at,
  secretHash: row.secret_hash,
});

export interface NewClient {
  id: string;
  clientId: string;
  tenantId: string;
  secretHash: Buffer | null;
  scopes: string[];
  grants: string[];
  redirectUris: string[];
}

/** False where the client id is taken. */
export async function insertClient(db: Queryable, client: NewClient): Promise<boolean> {
  const rows = await db`
    INSERT INTO clients (id, client_id, tenant_id, secret_hash, scopes, grants, redirect_uris)
    VALUES (${client.id}, ${client.clientId}, ${client.tenantId}, ${client.secretHash}, ${client.scopes},
            ${client.grants}, ${client.redirectUris})
    ON CONFLICT DO NOTHING RETURNING id`;
  return rows.length > 0;
}

export async function findStoredClient(db: Queryable, clientId: string): Promise<StoredClient | undefined> {
  const [row] = await db<ClientRow[]>`SELECT * FROM clients WHERE client_id = ${clientId}`;
  return row && toClient(row);
}

export async function allClients(db: Queryable, tenantId: string | undefined): Promise<Client[]> {
  const rows = await db<ClientRow[]>`
    SELECT * FROM clients ${tenantId === undefined ? db`` : db`WHERE tenant_id = ${tenantId}`} ORDER BY client_id`;
  return rows.map((row) => {
    const { secretHash: _, ...client } = toClient(row);
    return client;
  });
}

export async function replaceSecret(db: Queryable, id: string, secretHash: Buffer): Promise<void> {
  await db`UPDATE clients SET secret_hash = ${secretHash} WHERE id = ${id}`;
}

export async function removeClient(db: Queryable, id: string): Promise<void> {
  await db`DELETE FROM clients WHERE id = ${id}`;
}
