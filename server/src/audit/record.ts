/**
 * Audit: who did what to whom, and from where. Every feature writes here inside the transaction of the fact itself, so
 * that there is no fact without its record and no record of what was rolled back. Only ids go in: names and addresses
 * belong to the user, who may want them deleted.
 */
import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';

export type AuditType =
  | 'user.registered'
  | 'user.logged_in'
  | 'user.logged_out'
  | 'user.verified'
  | 'user.password_changed'
  | 'user.email_changed'
  | 'user.deleted'
  | 'session.reuse_detected'
  | 'client.created'
  | 'client.secret_rotated'
  | 'client.deleted'
  | 'api_key.created'
  | 'api_key.revoked';

export interface AuditEvent {
  tenantId: string;
  type: AuditType;
  /** `user:<uuid>`, `client:<client_id>` or `key:<uuid>`; absent for Postern itself and the command line. */
  actor?: string;
  /** Whom it concerns. */
  userId?: string;
  ip?: string;
  data?: Record<string, string | number | boolean>;
}

/** Writes the record, in the caller's transaction. */
export async function recordAudit(db: Queryable, event: AuditEvent): Promise<void> {
  await auditInsert(db, event);
}

/**
 * The statement that writes the record, to be part of a larger one.
 * @param from a CTE of that statement: the record is written once for each of its rows, so only if the fact was
 */
export function auditInsert(db: Queryable, event: AuditEvent, from = db``) {
  return db`
    INSERT INTO audit_events (id, tenant_id, type, actor, user_id, ip, data)
    SELECT ${newId()}::uuid, ${event.tenantId}::uuid, ${event.type}::text, ${event.actor ?? null}::text,
           ${event.userId ?? null}::uuid, ${event.ip ?? null}::text, ${event.data ? db.json(event.data) : null}::jsonb
    ${from}`;
}
