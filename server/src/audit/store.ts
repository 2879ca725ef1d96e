/** SQL of reading `audit_events`; `record.ts` writes them. */
import type { Queryable } from '../database/database.ts';

export interface AuditEntry {
  id: string;
  type: string;
  at: Date;
  actor: string | null;
  userId: string | null;
  ip: string | null;
  data: Record<string, unknown> | null;
}

export interface AuditQuery {
  tenantId: string;
  userId?: string;
  type?: string;
  actor?: string;
  /** Only older ones than this. */
  after?: string;
  limit: number;
}

/** Newest first, by keyset. */
export async function listAudit(
  db: Queryable,
  { tenantId, userId, type, actor, after, limit }: AuditQuery,
): Promise<AuditEntry[]> {
  return db<AuditEntry[]>`
    SELECT id, type, at, actor, user_id AS "userId", ip, data FROM audit_events
    WHERE tenant_id = ${tenantId}
      ${userId === undefined ? db`` : db`AND user_id = ${userId}`}
      ${type === undefined ? db`` : db`AND type = ${type}`}
      ${actor === undefined ? db`` : db`AND actor = ${actor}`}
      ${after === undefined ? db`` : db`AND id < ${after}`}
    ORDER BY id DESC LIMIT ${limit}`;
}
