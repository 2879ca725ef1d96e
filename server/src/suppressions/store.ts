import type { Queryable } from '../database/database.ts';
import type { Suppression, SuppressionReason } from './suppression.ts';

interface SuppressionRow {
  address: string;
  reason: SuppressionReason;
  detail: string | null;
  email_id: string | null;
  created_at: Date;
}

const toSuppression = (row: SuppressionRow): Suppression => ({
  address: row.address,
  reason: row.reason,
  detail: row.detail,
  emailId: row.email_id,
  createdAt: row.created_at,
});

const columns = (db: Queryable) => db`address, reason, detail, email_id, created_at`;

export interface NewSuppression {
  tenantId: string;
  address: string;
  addressNormalized: string;
  reason: SuppressionReason;
  detail: string | null;
}

/** The new one, or undefined where the address is listed already. */
export async function insertSuppression(db: Queryable, one: NewSuppression): Promise<Suppression | undefined> {
  const [row] = await db<SuppressionRow[]>`
    INSERT INTO suppressions (tenant_id, address_normalized, address, reason, detail)
    VALUES (${one.tenantId}, ${one.addressNormalized}, ${one.address}, ${one.reason}, ${one.detail})
    ON CONFLICT DO NOTHING
    RETURNING ${columns(db)}`;
  return row && toSuppression(row);
}

export async function findSuppression(
  db: Queryable,
  tenantId: string,
  addressNormalized: string,
): Promise<Suppression | undefined> {
  const [row] = await db<SuppressionRow[]>`
    SELECT ${columns(db)} FROM suppressions
    WHERE tenant_id = ${tenantId} AND address_normalized = ${addressNormalized}`;
  return row && toSuppression(row);
}

export interface SuppressionFilter {
  addressNormalized?: string;
  reason?: SuppressionReason;
  /** Only addresses that stand behind this one. */
  after?: string;
  limit: number;
}

/** In the order of their addresses: what the table's key gives, however long the list. */
export async function suppressionsPage(
  db: Queryable,
  tenantId: string,
  { addressNormalized, reason, after, limit }: SuppressionFilter,
): Promise<Suppression[]> {
  const rows = await db<SuppressionRow[]>`
    SELECT ${columns(db)} FROM suppressions
    WHERE tenant_id = ${tenantId}
      ${addressNormalized === undefined ? db`` : db`AND address_normalized = ${addressNormalized}`}
      ${reason === undefined ? db`` : db`AND reason = ${reason}`}
      ${after === undefined ? db`` : db`AND address_normalized > ${after}`}
    ORDER BY address_normalized LIMIT ${limit}`;
  return rows.map(toSuppression);
}

export async function deleteSuppression(db: Queryable, tenantId: string, addressNormalized: string): Promise<boolean> {
  const rows = await db`
    DELETE FROM suppressions WHERE tenant_id = ${tenantId} AND address_normalized = ${addressNormalized}
    RETURNING address`;
  return rows.length > 0;
}
