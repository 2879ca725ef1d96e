import type { Queryable } from '../database/database.ts';
import { type Client, type ClientMetadata, completeMetadata } from './client.ts';

interface ClientRow {
  id: string;
  client_id: string;
  tenant_id: string;
  secret_hash: Buffer | null;
  scopes: string[];
  grants: string[];
  redirect_uris: string[];
  metadata: Partial<ClientMetadata>;
  former_secret_hash: Buffer | null;
  former_secret_until: Date | null;
  created_at: Date;
}

/** A client and what its secret is compared with. */
export type StoredClient = Client & { secretHash: Buffer | null; formerSecretHash: Buffer | null };

function toClient(row: ClientRow): StoredClient {
  // Those that were made before there was metadata, or by a node that knows of none, say it by their secret.
  const method = row.secret_hash === null ? ({ token_endpoint_auth_method: 'none' } as const) : {};
  const metadata = completeMetadata({ ...method, ...row.metadata });
  return {
    id: row.id,
    clientId: row.client_id,
    tenantId: row.tenant_id,
    isPublic: metadata.token_endpoint_auth_method === 'none',
    scopes: row.scopes,
    grants: row.grants,
    redirectUris: row.redirect_uris,
    metadata,
    createdAt: row.created_at,
    formerSecretUntil: row.former_secret_until,
    secretHash: row.secret_hash,
    formerSecretHash: row.former_secret_hash,
  };
}

/** A former secret whose time is over is not there. */
const columns = (db: Queryable) => db`
  id, client_id, tenant_id, secret_hash, scopes, grants, redirect_uris, metadata, created_at,
  CASE WHEN former_secret_until > now() THEN former_secret_hash END AS former_secret_hash,
  CASE WHEN former_secret_until > now() THEN former_secret_until END AS former_secret_until`;

export interface NewClient {
  id: string;
  clientId: string;
  tenantId: string;
  secretHash: Buffer | null;
  scopes: string[];
  grants: string[];
  redirectUris: string[];
  metadata: ClientMetadata;
}

/** Undefined where the client id is taken. */
export async function insertClient(db: Queryable, client: NewClient): Promise<Client | undefined> {
  const [row] = await db<ClientRow[]>`
    INSERT INTO clients (id, client_id, tenant_id, secret_hash, scopes, grants, redirect_uris, metadata)
    VALUES (${client.id}, ${client.clientId}, ${client.tenantId}, ${client.secretHash}, ${client.scopes},
            ${client.grants}, ${client.redirectUris}, ${JSON.stringify(client.metadata)}::text::jsonb)
    ON CONFLICT DO NOTHING RETURNING ${columns(db)}`;
  return row && withoutHashes(row);
}

export async function findStoredClients(db: Queryable, clientIds: string[]): Promise<StoredClient[]> {
  const rows = await db<ClientRow[]>`SELECT ${columns(db)} FROM clients WHERE client_id = ANY (${clientIds})`;
  return rows.map(toClient);
}

/** For a change that depends on what it is now: nobody else changes it until the transaction ends. */
export async function lockClient(db: Queryable, clientId: string): Promise<Client | undefined> {
  const [row] = await db<ClientRow[]>`SELECT ${columns(db)} FROM clients WHERE client_id = ${clientId} FOR UPDATE`;
  return row && withoutHashes(row);
}

export async function allClients(db: Queryable, tenantId: string | undefined): Promise<Client[]> {
  const rows = await db<ClientRow[]>`
    SELECT ${columns(db)} FROM clients
    ${tenantId === undefined ? db`` : db`WHERE tenant_id = ${tenantId}`} ORDER BY client_id`;
  return rows.map(withoutHashes);
}

/** By client id, by keyset. */
export async function clientsPage(
  db: Queryable,
  tenantId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Client[]> {
  const rows = await db<ClientRow[]>`
    SELECT ${columns(db)} FROM clients
    WHERE tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND client_id > ${after}`}
    ORDER BY client_id LIMIT ${limit}`;
  return rows.map(withoutHashes);
}

export interface ClientUpdate {
  scopes: string[];
  grants: string[];
  redirectUris: string[];
  metadata: ClientMetadata;
  /** In place of all that was good: null for none from now on. Undefined where secrets stay as they are. */
  secretHash?: Buffer | null;
}

export async function replaceClient(db: Queryable, id: string, client: ClientUpdate): Promise<Client> {
  const { secretHash } = client;
  const secret =
    secretHash === undefined
      ? db``
      : db`, secret_hash = ${secretHash}, former_secret_hash = NULL, former_secret_until = NULL`;
  const [row] = await db<ClientRow[]>`
    UPDATE clients SET scopes = ${client.scopes}, grants = ${client.grants}, redirect_uris = ${client.redirectUris},
                       metadata = ${JSON.stringify(client.metadata)}::text::jsonb ${secret}
    WHERE id = ${id} RETURNING ${columns(db)}`;
  if (!row) throw new Error('The client is gone although it was locked.');
  return withoutHashes(row);
}

/**
 * Takes a new secret; the one so far stays good for `overlapSeconds`.
 * @returns until when that is, or null for not at all
 */
export async function replaceSecret(
  db: Queryable,
  id: string,
  { secretHash, overlapSeconds }: { secretHash: Buffer; overlapSeconds: number },
): Promise<Date | null> {
  const [row] = await db<{ former_secret_until: Date | null }[]>`
    UPDATE clients SET
      former_secret_hash = CASE WHEN ${overlapSeconds} > 0 THEN secret_hash END,
      former_secret_until = CASE WHEN ${overlapSeconds} > 0 THEN now() + make_interval(secs => ${overlapSeconds}) END,
      secret_hash = ${secretHash}
    WHERE id = ${id} RETURNING former_secret_until`;
  return row?.former_secret_until ?? null;
}

export async function removeClient(db: Queryable, id: string): Promise<void> {
  await db`DELETE FROM clients WHERE id = ${id}`;
}

function withoutHashes(row: ClientRow): Client {
  const { secretHash: _, formerSecretHash: __, ...client } = toClient(row);
  return client;
}
