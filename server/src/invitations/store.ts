import type { Queryable, Transaction } from '../database/database.ts';
import type { Invitation } from './invitation.ts';

const columns = (db: Queryable) => db`
  id, tenant_id AS "tenantId", email, email_normalized AS "emailNormalized", name, roles, invited_by AS "invitedBy",
  CASE WHEN status = 'pending' AND expires_at <= now() THEN 'expired' ELSE status END AS status,
  challenge_id AS "challengeId", created_at AS "createdAt", expires_at AS "expiresAt"`;

export type NewInvitation = Omit<Invitation, 'status' | 'createdAt'>;

/** The new invitation, or undefined where the address has one that can still be accepted. */
export async function insertInvitation(tx: Transaction, invitation: NewInvitation): Promise<Invitation | undefined> {
  const { id, tenantId, email, emailNormalized, name, roles, invitedBy, challengeId, expiresAt } = invitation;
  const [, [row]] = await Promise.all([
    tx`
      UPDATE invitations SET status = 'expired'
      WHERE tenant_id = ${tenantId} AND email_normalized = ${emailNormalized} AND status = 'pending'
        AND expires_at <= now()`,
    tx<Invitation[]>`
      INSERT INTO invitations (id, tenant_id, email, email_normalized, name, roles, invited_by, challenge_id, expires_at)
      VALUES (${id}, ${tenantId}, ${email}, ${emailNormalized}, ${name}, ${roles}, ${invitedBy}, ${challengeId}, ${expiresAt})
      ON CONFLICT DO NOTHING
      RETURNING ${columns(tx)}`,
  ]);
  return row;
}

/** @param tenantId another tenant's invitation is as absent as one that never was (S41) */
export async function findInvitation(db: Queryable, tenantId: string, id: string): Promise<Invitation | undefined> {
  const [row] = await db<Invitation[]>`
    SELECT ${columns(db)} FROM invitations WHERE tenant_id = ${tenantId} AND id = ${id}`;
  return row;
}

/** Newest first, by keyset. */
export async function invitationsPage(
  db: Queryable,
  tenantId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Invitation[]> {
  return db<Invitation[]>`
    SELECT ${columns(db)} FROM invitations
    WHERE tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND id < ${after}`}
    ORDER BY id DESC LIMIT ${limit}`;
}

/** Gives an invitation that was not taken up another link; nothing where it has ended otherwise than by time. */
export async function renewInvitation(
  db: Queryable,
  id: string,
  { challengeId, expiresAt }: { challengeId: string; expiresAt: Date },
): Promise<Invitation | undefined> {
  const [row] = await db<Invitation[]>`
    UPDATE invitations SET challenge_id = ${challengeId}, expires_at = ${expiresAt}
    WHERE id = ${id} AND status = 'pending' RETURNING ${columns(db)}`;
  return row;
}

/** The invitation as it is now; nobody else accepts, renews or revokes it until the end of the transaction. */
export async function lockInvitation(
  tx: Transaction,
  by: { id: string } | { challengeId: string },
): Promise<Invitation | undefined> {
  const [row] = await tx<Invitation[]>`
    SELECT ${columns(tx)} FROM invitations
    WHERE ${'id' in by ? tx`id = ${by.id}` : tx`challenge_id = ${by.challengeId}`} FOR UPDATE`;
  return row;
}

export async function endInvitation(
  tx: Transaction,
  id: string,
  end: { status: 'revoked' } | { status: 'accepted'; userId: string },
): Promise<void> {
  const userId = 'userId' in end ? end.userId : null;
  await tx`UPDATE invitations SET status = ${end.status}, user_id = ${userId} WHERE id = ${id}`;
}

/** Removes what nobody took up a month after its end. The others stay for as long as the user does. */
export async function purgeInvitations(db: Queryable): Promise<void> {
  await db`DELETE FROM invitations WHERE user_id IS NULL AND expires_at < now() - interval '30 days'`;
}
