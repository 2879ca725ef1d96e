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
  createdAt: Date;
}

/** SQL: what an address is compared by. Addresses are ASCII where they are kept, whatever the database's locale. */
export function normalizedAddress(address: string): string {
  return `lower(${address} COLLATE "C")`;
}

/** SQL: why a tenant sends nothing to an address, or null. A look-up by key for each row; a join may be planned otherwise. */
export function suppressionOf(tenantId: string, address: string): string {
  return `(SELECT s.reason FROM suppressions s
           WHERE s.tenant_id = ${tenantId} AND s.address_normalized = ${normalizedAddress(address)})`;
}

/**
 * SQL: lists the addresses that refused a letter for good. One that is listed already stays as it is.
 * @param rows a query for tenant_id, address, detail, email_id
 */
export function suppressBounced(rows: string): string {
  // In order: two statements that list the same addresses must not wait for each other.
  return `INSERT INTO suppressions (tenant_id, address_normalized, address, reason, detail, email_id)
          SELECT DISTINCT ON (tenant_id, ${normalizedAddress('address')})
                 tenant_id, ${normalizedAddress('address')}, address, 'bounced', detail, email_id
          FROM (${rows}) AS refused
          ORDER BY tenant_id, ${normalizedAddress('address')}
          ON CONFLICT DO NOTHING`;
}
