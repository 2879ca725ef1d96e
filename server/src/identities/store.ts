import type { Queryable, Transaction } from '../database/database.ts';
import type { Identity, OutsideAccount } from './identity.ts';

const columns = (db: Queryable) => db`
  id, issuer, subject, email, created_at AS "createdAt", last_used_at AS "lastUsedAt"`;

/** The user whose account it is, if it is somebody's; notes that it was used. */
export async function useIdentity(
  db: Queryable,
  tenantId: string,
  { issuer, subject, email }: OutsideAccount,
): Promise<string | undefined> {
  const [row] = await db<{ userId: string }[]>`
    UPDATE identities SET last_used_at = now(), email = ${email ?? null}
    WHERE tenant_id = ${tenantId} AND issuer = ${issuer} AND subject = ${subject}
    RETURNING user_id AS "userId"`;
  return row?.userId;
}

/** Whether it is this user's now; false where it has become another's meanwhile. */
export async function insertIdentity(
  db: Queryable,
  { id, tenantId, userId }: { id: string; tenantId: string; userId: string },
  { issuer, subject, email }: OutsideAccount,
): Promise<boolean> {
  const rows = await db`
    INSERT INTO identities (id, tenant_id, user_id, issuer, subject, email)
    VALUES (${id}, ${tenantId}, ${userId}, ${issuer}, ${subject}, ${email ?? null})
    ON CONFLICT DO NOTHING RETURNING id`;
  return rows.length > 0;
}

export async function identitiesOf(db: Queryable, userId: string): Promise<Identity[]> {
  return db<Identity[]>`SELECT ${columns(db)} FROM identities WHERE user_id = ${userId} ORDER BY id`;
}

export async function removeIdentity(db: Queryable, userId: string, id: string): Promise<boolean> {
  const rows = await db`DELETE FROM identities WHERE user_id = ${userId} AND id = ${id} RETURNING id`;
  return rows.length > 0;
}

/** Of parallel callers one gets true. */
export async function finishSignIn(db: Queryable, stateHash: Buffer, seconds: number): Promise<boolean> {
  const rows = await db`
    INSERT INTO finished_sign_ins (state_hash, expires_at) VALUES (${stateHash}, now() + make_interval(secs => ${seconds}))
    ON CONFLICT DO NOTHING RETURNING 1`;
  return rows.length > 0;
}

export async function insertSignInCode(
  db: Queryable,
  codeHmac: Buffer,
  userId: string,
  seconds: number,
): Promise<void> {
  await db`
    INSERT INTO sign_in_codes (code_hmac, user_id, expires_at)
    VALUES (${codeHmac}, ${userId}, now() + make_interval(secs => ${seconds}))`;
}

/** Uses a code up, also one whose time is over. */
export async function takeSignInCode(tx: Transaction, codeHmacs: Buffer[]): Promise<string | undefined> {
  const [row] = await tx<{ userId: string; isGood: boolean }[]>`
    DELETE FROM sign_in_codes WHERE code_hmac IN ${tx(codeHmacs)}
    RETURNING user_id AS "userId", expires_at > now() AS "isGood"`;
  return row?.isGood ? row.userId : undefined;
}

export async function purgeSignIns(db: Queryable): Promise<void> {
  await db`DELETE FROM finished_sign_ins WHERE expires_at < now()`;
  await db`DELETE FROM sign_in_codes WHERE expires_at < now()`;
}
