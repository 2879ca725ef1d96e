import type { Queryable } from '../database/database.ts';
import type { ApiKey } from './api-key.ts';

interface ApiKeyRow {
  id: string;
  tenant_id: string;
  name: string;
  prefix: string;
  scopes: string[];
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

const toApiKey = (row: ApiKeyRow): ApiKey => ({
  id: row.id,
  tenantId: row.tenant_id,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  lastUsedAt: row.last_used_at,
  revokedAt: row.revoked_at,
});

const columns = (db: Queryable) => db`
  id, tenant_id, name, prefix, scopes, created_at, expires_at, last_used_at, revoked_at`;

export interface NewApiKey {
  id: string;
  tenantId: string;
  name: string;
  prefix: string;
  secretHash: Buffer;
  scopes: string[];
  /** From now, by the database's clock; null for ever. */
  lifetimeSeconds: number | null;
}

export async function insertKey(db: Queryable, key: NewApiKey): Promise<ApiKey> {
  const [row] = await db<ApiKeyRow[]>`
    INSERT INTO api_keys (id, tenant_id, name, prefix, secret_hash, scopes, expires_at)
    VALUES (${key.id}, ${key.tenantId}, ${key.name}, ${key.prefix}, ${key.secretHash}, ${key.scopes},
            now() + make_interval(secs => ${key.lifetimeSeconds}))
    RETURNING ${columns(db)}`;
  if (!row) throw new Error('The API key was not inserted.');
  return toApiKey(row);
}

/** A key that is good now. */
export interface LiveKey {
  id: string;
  tenantId: string;
  scopes: string[];
  /** Until it expires; null where it never does. */
  secondsLeft: number | null;
  /** Whether its last noted use is a minute ago, or there was none. */
  isUseDue: boolean;
}

/** @param hashes of one key, under every key of SECRET_KEY */
export async function findLiveKey(db: Queryable, hashes: Buffer[]): Promise<LiveKey | undefined> {
  const [row] = await db<LiveKey[]>`
    SELECT id, tenant_id AS "tenantId", scopes, extract(epoch FROM expires_at - now())::float AS "secondsLeft",
           last_used_at IS NULL OR last_used_at <= now() - interval '1 minute' AS "isUseDue"
    FROM api_keys
    WHERE secret_hash IN ${db(hashes)} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`;
  return row;
}

/** Notes that a key is in use. Of all nodes that would, one does in a minute. */
export async function noteUse(db: Queryable, id: string): Promise<void> {
  await db`
    UPDATE api_keys SET last_used_at = now()
    WHERE id = ${id} AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute')`;
}

/** Of one tenant, or of all; oldest first. */
export async function allKeys(db: Queryable, tenantId: string | undefined): Promise<ApiKey[]> {
  const rows = await db<ApiKeyRow[]>`
    SELECT ${columns(db)} FROM api_keys
    ${tenantId === undefined ? db`` : db`WHERE tenant_id = ${tenantId}`} ORDER BY id`;
  return rows.map(toApiKey);
}

export async function keyExists(db: Queryable, id: string): Promise<boolean> {
  const rows = await db`SELECT FROM api_keys WHERE id = ${id}`;
  return rows.length > 0;
}

/** Revokes a key; returns its tenant, or nothing where there is no such key that is not revoked. */
export async function markRevoked(db: Queryable, id: string): Promise<string | undefined> {
  const [row] = await db<{ tenant_id: string }[]>`
    UPDATE api_keys SET revoked_at = now() WHERE id = ${id} AND revoked_at IS NULL RETURNING tenant_id`;
  return row?.tenant_id;
}
