/**
 * Audit: who did what to whom, and from where. Every feature writes here inside the transaction of the fact itself, so
 * that there is no fact without its record and no record of what was rolled back. Only ids go in: names and addresses
 * belong to the user, who may want them deleted.
 */
import type postgres from 'postgres';
import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
import { isWebhookEvent, webhookEvents } from '../webhooks/events.ts';

export type AuditType =
  | 'user.registered'
  | 'user.imported'
  | 'user.invited'
  | 'user.invitation_resent'
  | 'user.invitation_revoked'
  | 'user.invitation_accepted'
  | 'user.logged_in'
  | 'user.logged_out'
  | 'user.verified'
  | 'user.password_changed'
  | 'user.password_reset'
  | 'user.email_changed'
  | 'user.disabled'
  | 'user.enabled'
  | 'user.sessions_ended'
  | 'user.deleted'
  | 'user.role_granted'
  | 'user.role_taken'
  | 'session.reuse_detected'
  | 'session.stepped_up'
  | 'second_factor.added'
  | 'second_factor.removed'
  | 'second_factor.recovery_codes_made'
  | 'identity.linked'
  | 'identity.unlinked'
  | 'role.created'
  | 'role.updated'
  | 'role.deleted'
  | 'tenant.updated'
  | 'client.created'
  | 'client.updated'
  | 'client.secret_rotated'
  | 'client.deleted'
  | 'oauth.signed_in'
  | 'oauth.reuse_detected'
  | 'oauth.grant_revoked'
  | 'oauth.consent_given'
  | 'oauth.consent_withdrawn'
  | 'api_key.created'
  | 'api_key.revoked'
  | 'signing_key.rotated'
  | 'signing_key.removed'
  | 'suppression.unsubscribed'
  | 'domain.created'
  | 'domain.verified'
  | 'domain.dkim_rotated'
  | 'domain.deleted'
  | 'webhook.created'
  | 'webhook.updated'
  | 'webhook.secret_rotated'
  | 'webhook.disabled'
  | 'webhook.deleted';

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
  await db`WITH ${auditRecord(db, event)} SELECT`;
}

/**
 * Common table expressions that write the record, and the event for endpoints that asked for it, to be part of a larger
 * statement.
 * @param from a CTE of that statement: the record is written once for each of its rows, so only if the fact was
 */
export function auditRecord(db: Queryable, event: AuditEvent, from = db``) {
  const { tenantId, type, actor = null, userId = null, ip = null, data } = event;
  return auditRecords(
    db,
    type,
    db`SELECT ${newId()}::uuid, ${tenantId}::uuid, ${actor}::text, ${userId}::uuid, ${ip}::text,
              ${data ? db.json(data) : null}::jsonb
       ${from}`,
  );
}

/**
 * The same for many facts of a type at once.
 * @param rows a query for id, tenant_id, actor, user_id, ip, data (jsonb)
 */
export function auditRecords(db: Queryable, type: AuditType, rows: postgres.Fragment) {
  const record = db`
    audit_record AS (
      INSERT INTO audit_events (id, tenant_id, actor, user_id, ip, data, type)
      SELECT recorded.*, ${type}::text FROM (${rows}) AS recorded
      RETURNING tenant_id, type, at, user_id, data
    )`;
  return isWebhookEvent(type) ? db`${record}, ${db.unsafe(webhookEvents(recordedEvent(type)))}` : record;
}

/** Of a user's event endpoints get no detail: it may say from where, or name a session. Who is invited is no user yet. */
function recordedEvent(type: AuditType): string {
  const data = type.startsWith('user.') && type !== 'user.invited' ? 'NULL::jsonb' : 'data';
  return `SELECT tenant_id, type, at, NULL::uuid AS email_id, NULL::text AS recipient, user_id, ${data} AS data
          FROM audit_record`;
}
