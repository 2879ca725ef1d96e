/** SQL of a change of address on its way; the address itself is changed in `store.ts`. */
import type { Queryable } from '../database/database.ts';

export interface NewEmailChange {
  userId: string;
  tenantId: string;
  email: string;
  emailNormalized: string;
  newChallengeId: string;
  /** The verified address that has to agree too, if there is one. */
  old: { emailNormalized: string; challengeId: string } | undefined;
}

/** Starts a change; one that was on its way is forgotten, with what was confirmed of it. */
export async function putEmailChange(db: Queryable, change: NewEmailChange): Promise<void> {
  await db`
    INSERT INTO email_changes (user_id, tenant_id, email, email_normalized, new_challenge_id, old_email_normalized,
                               old_challenge_id)
    VALUES (${change.userId}, ${change.tenantId}, ${change.email}, ${change.emailNormalized}, ${change.newChallengeId},
            ${change.old?.emailNormalized ?? null}, ${change.old?.challengeId ?? null})
    ON CONFLICT (user_id) DO UPDATE SET
      email = excluded.email, email_normalized = excluded.email_normalized, created_at = now(),
      new_challenge_id = excluded.new_challenge_id, new_confirmed_at = NULL,
      old_email_normalized = excluded.old_email_normalized, old_challenge_id = excluded.old_challenge_id,
      old_confirmed_at = NULL`;
}

export interface EmailChange {
  email: string;
  emailNormalized: string;
  oldEmailNormalized: string | null;
  isNewConfirmed: boolean;
  /** True as well where no old address has to agree. */
  isOldConfirmed: boolean;
}

const columns = (db: Queryable) => db`
  email, email_normalized AS "emailNormalized", old_email_normalized AS "oldEmailNormalized",
  new_confirmed_at IS NOT NULL AS "isNewConfirmed",
  old_challenge_id IS NULL OR old_confirmed_at IS NOT NULL AS "isOldConfirmed"`;

export async function findEmailChange(db: Queryable, userId: string): Promise<EmailChange | undefined> {
  const [row] = await db<EmailChange[]>`SELECT ${columns(db)} FROM email_changes WHERE user_id = ${userId}`;
  return row;
}

/** Notes the confirmation that a challenge stands for; nothing where it was of another change than the present one. */
export async function confirmEmailChange(
  db: Queryable,
  userId: string,
  challengeId: string,
): Promise<EmailChange | undefined> {
  const [row] = await db<EmailChange[]>`
    UPDATE email_changes SET
      new_confirmed_at = CASE WHEN new_challenge_id = ${challengeId} THEN now() ELSE new_confirmed_at END,
      old_confirmed_at = CASE WHEN old_challenge_id = ${challengeId} THEN now() ELSE old_confirmed_at END
    WHERE user_id = ${userId} AND ${challengeId} IN (new_challenge_id, old_challenge_id)
    RETURNING ${columns(db)}`;
  return row;
}

/** Forgets a change: it is done, or whoever asked for it may have been a stranger. */
export async function dropEmailChange(db: Queryable, userId: string): Promise<void> {
  await db`DELETE FROM email_changes WHERE user_id = ${userId}`;
}

/** Removes changes whose letters have ended, however long VERIFY_LINK_SECONDS was. */
export async function purgeEmailChanges(db: Queryable): Promise<void> {
  await db`DELETE FROM email_changes WHERE created_at < now() - interval '31 days'`;
}
