import type { Queryable } from '../database/database.ts';
import type { Method } from '../second-factors/second-factor.ts';

/** Notes who owes a second factor. Nothing where the user has changed since the first was checked, as in `insertSession`. */
export async function insertSignIn(
  db: Queryable,
  {
    id,
    userId,
    passwordHash,
    methods,
    seconds,
  }: {
    id: string;
    userId: string;
    passwordHash: string | null;
    methods: readonly Method[];
    seconds: number;
  },
): Promise<boolean> {
  const rows = await db`
    INSERT INTO sign_ins (id, user_id, methods, expires_at)
    SELECT ${id}, u.id, ${methods as Method[]}, now() + make_interval(secs => ${seconds})
    FROM (SELECT id FROM users
          WHERE id = ${userId} AND password_hash IS NOT DISTINCT FROM ${passwordHash} AND disabled_at IS NULL
          FOR SHARE) u
    RETURNING id`;
  return rows.length > 0;
}

export interface SignIn {
  userId: string;
  tenantId: string;
  methods: Method[];
}

export async function findSignIn(db: Queryable, id: string): Promise<SignIn | undefined> {
  const [row] = await db<SignIn[]>`
    SELECT s.user_id AS "userId", u.tenant_id AS "tenantId", s.methods
    FROM sign_ins s JOIN users u ON u.id = s.user_id WHERE s.id = ${id} AND s.expires_at > now()`;
  return row;
}

/** Ends it, once; false where it has ended. */
export async function takeSignIn(db: Queryable, id: string): Promise<boolean> {
  const rows = await db`DELETE FROM sign_ins WHERE id = ${id} AND expires_at > now() RETURNING id`;
  return rows.length > 0;
}

export async function purgeSignInsBegun(db: Queryable): Promise<void> {
  await db`DELETE FROM sign_ins WHERE expires_at < now()`;
}
