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

export async function recordAudit(db: Queryable, event: AuditEvent): Promise<void> {
  await db`
    INSERT INTO audit_events (id, tenant_id, type, actor, user_id, ip, data)
    VALUES (${newId()}, ${event.tenantId}, ${event.type}, ${event.actor ?? null}, ${event.userId ?? null},
            ${event.ip ?? null}, ${event.data ? db.json(event.data) : null})`;
}
