/**
 * Suppressions: the addresses that a tenant sends nothing to, because they refused mail for good or because somebody
 * said so. This folder owns the table `suppressions`. Whoever writes or sends letters asks it by the SQL below, inside
 * its own statement, so that the question costs no round trip.
 */

export const suppressionReasons = ['bounced', 'manual', 'complained', 'unsubscribed'] as const;
export type SuppressionReason = (typeof suppressionReasons)[number];

export interface Suppression {
  address: string;
  reason: SuppressionReason;
  detail: string | null;
  /** The letter it was listed over. */
  emailId: string | null;
  /** Since when they want no bulk mail, whatever else the reason is. */
  unsubscribedAt: Date | null;
  createdAt: Date;
}

/** SQL: what an address is compared by, as `normalizeEmail` makes it: ASCII letters lose their case, whatever the locale. */
export function normalizedAddress(address: string): string {
  return `lower(${address} COLLATE "C")`;
}

/**
 * SQL: why a tenant sends nothing to an address, or null. Who has unsubscribed still gets what is no bulk mail: codes,
 * receipts, and what else they have asked for. A look-up by key for each row; a join may be planned otherwise.
 * @param isBulk whether it is bulk mail; null is no
 */
export function suppressionOf(tenantId: string, address: string, isBulk: string): string {
  return `(SELECT s.reason FROM suppressions s
           WHERE s.tenant_id = ${tenantId} AND s.address_normalized = ${normalizedAddress(address)}
             AND (s.reason <> 'unsubscribed' OR ${isBulk}))`;
}

/**
 * SQL: lists the addresses that refused a letter for good. One that is listed already stays as it is, but for those who
 * had unsubscribed only.
 * @param rows a query for tenant_id, address, detail, email_id
 */
export function suppressBounced(rows: string): string {
  // In order: two statements that list the same addresses must not wait for each other.
  return `INSERT INTO suppressions (tenant_id, address_normalized, address, reason, detail, email_id)
          SELECT DISTINCT ON (tenant_id, ${normalizedAddress('address')})
                 tenant_id, ${normalizedAddress('address')}, address, 'bounced', detail, email_id
          FROM (${rows}) AS refused
          ORDER BY tenant_id, ${normalizedAddress('address')}
          ON CONFLICT (tenant_id, address_normalized) DO UPDATE
          SET reason = excluded.reason, detail = excluded.detail, email_id = excluded.email_id
          WHERE suppressions.reason = 'unsubscribed'`;
}

/**
 * SQL: lists an address whose reader wants no more bulk mail; returns tenant_id, where that is new.
 * @param row a query for tenant_id, address, email_id
 */
export function suppressUnsubscribed(row: string): string {
  return `INSERT INTO suppressions (tenant_id, address_normalized, address, reason, email_id, unsubscribed_at)
          SELECT tenant_id, ${normalizedAddress('address')}, address, 'unsubscribed', email_id, now()
          FROM (${row}) AS reader
          ON CONFLICT (tenant_id, address_normalized) DO UPDATE SET unsubscribed_at = excluded.unsubscribed_at
          WHERE suppressions.unsubscribed_at IS NULL
          RETURNING tenant_id`;
}
