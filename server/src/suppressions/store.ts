import type { Queryable } from '../database/database.ts';
import type { Suppression, SuppressionReason } from './suppression.ts';

interface SuppressionRow {
  address: string;
  reason: SuppressionReason;
  detail: string | null;
  email_id: string | null;
  unsubscribed_at: Date | null;
  created_at: Date;
}

const toSuppression = (row: SuppressionRow): Suppression => ({
  address: row.address,
  reason: row.reason,
  detail: row.detail,
  emailId: row.email_id,
  unsubscribedAt: row.unsubscribed_at,
  createdAt: row.created_at,
});

const columns = (db: Queryable) => db`address, reason, detail, email_id, unsubscribed_at, created_at`;

export interface NewSuppression {
  tenantId: string;
  address: string;
  addressNormalized: string;
  reason: SuppressionReason;
  detail: string | null;
}

/**
 * Lists an address. One that is listed already stays as it is, but where they had only unsubscribed any other reason
 * takes its place, for it stops more; and that they have unsubscribed is kept beside any reason.
 */
export async function insertSuppression(
  db: Queryable,
  { tenantId, address, addressNormalized, reason, detail }: NewSuppression,
): Promise<Suppression & { isNew: boolean }> {
  const [row] = await db<(SuppressionRow & { is_new: boolean })[]>`
    INSERT INTO suppressions AS s (tenant_id, address_normalized, address, reason, detail, unsubscribed_at)
    VALUES (${tenantId}, ${addressNormalized}, ${address}, ${reason}, ${detail},
            CASE WHEN ${reason}::text = 'unsubscribed' THEN now() END)
    ON CONFLICT (tenant_id, address_normalized) DO UPDATE SET
      reason = CASE WHEN s.reason = 'unsubscribed' THEN excluded.reason ELSE s.reason END,
      detail = CASE WHEN s.reason = 'unsubscribed' AND excluded.reason <> 'unsubscribed' THEN excluded.detail ELSE s.detail END,
      unsubscribed_at = coalesce(s.unsubscribed_at, excluded.unsubscribed_at)
    RETURNING ${columns(db)}, xmax = 0 AS is_new`;
  if (!row) throw new Error('A suppression was neither written nor there.');
  return { ...toSuppression(row), isNew: row.is_new };
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
