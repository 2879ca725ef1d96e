import { newId } from '../crypto/ids.ts';
import { column, type Queryable } from '../database/database.ts';
import { readRights, rightsOf, type StoredRights } from '../roles/rights.ts';
import type { Profile, User } from './user.ts';

interface UserRow {
  id: string;
  tenant_id: string;
  email: string | null;
  email_normalized: string | null;
  username: string | null;
  name: string | null;
  profile_image_url: string | null;
  password_hash: string | null;
  has_second_factor: boolean;
  scopes: string[];
  rights: StoredRights;
  email_verified_at: Date | null;
  disabled_at: Date | null;
  created_at: Date;
}

const toUser = (row: UserRow): User => ({
  id: row.id,
  tenantId: row.tenant_id,
  email: row.email,
  emailNormalized: row.email_normalized,
  username: row.username,
  name: row.name,
  profileImageUrl: row.profile_image_url,
  passwordHash: row.password_hash,
  hasSecondFactor: row.has_second_factor,
  scopes: row.scopes,
  rights: readRights(row.rights),
  emailVerifiedAt: row.email_verified_at,
  disabledAt: row.disabled_at,
  createdAt: row.created_at,
});

const columns = (db: Queryable) => db`
  id, tenant_id, email, email_normalized, username, name, profile_image_url, password_hash, has_second_factor, scopes,
  email_verified_at, disabled_at, created_at, ${rightsOf(db, 'users')} AS rights`;

export interface NewUser {
  id: string;
  tenantId: string;
  email?: string;
  emailNormalized?: string;
  username?: string;
  usernameNormalized?: string;
  name?: string;
  profileImageUrl?: string;
  passwordHash?: string;
  scopes?: string[];
  isVerified?: boolean;
}

/** The new user, or undefined where the address or the username is taken in that tenant. */
export async function insertUser(db: Queryable, user: NewUser): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    INSERT INTO users (id, tenant_id, email, email_normalized, username, username_normalized, name, profile_image_url,
                       password_hash, scopes, email_verified_at)
    VALUES (${user.id}, ${user.tenantId}, ${user.email ?? null}, ${user.emailNormalized ?? null},
            ${user.username ?? null}, ${user.usernameNormalized ?? null}, ${user.name ?? null},
            ${user.profileImageUrl ?? null}, ${user.passwordHash ?? null}, ${user.scopes ?? []},
            CASE WHEN ${user.isVerified ?? false} THEN now() END)
    ON CONFLICT DO NOTHING
    RETURNING ${columns(db)}`;
  return row && toUser(row);
}

export interface NewImportedUser extends Omit<NewUser, 'scopes'> {
  createdAt?: Date;
}

/** Inserts users with their audit records; of those that are there already it says nothing. Returns the ids of the new. */
export async function insertImported(
  db: Queryable,
  tenantId: string,
  users: NewImportedUser[],
  actor: string | undefined,
): Promise<string[]> {
  if (users.length === 0) return [];
  const column = (value: (user: NewImportedUser) => string | undefined) => users.map((user) => value(user) ?? null);
  const rows = await db<{ id: string }[]>`
    WITH inserted AS (
      INSERT INTO users (id, tenant_id, email, email_normalized, username, username_normalized, name,
                         profile_image_url, password_hash, email_verified_at, created_at)
      SELECT id, ${tenantId}, email, email_normalized, username, username_normalized, name, profile_image_url,
             password_hash, CASE WHEN verified = 'yes' THEN now() END, coalesce(created_at, now())
      FROM unnest(${column(({ id }) => id)}::uuid[], ${column(({ email }) => email)}::text[],
                  ${column(({ emailNormalized }) => emailNormalized)}::text[],
                  ${column(({ username }) => username)}::text[],
                  ${column(({ usernameNormalized }) => usernameNormalized)}::text[],
                  ${column(({ name }) => name)}::text[],
                  ${column(({ profileImageUrl }) => profileImageUrl)}::text[],
                  ${column(({ passwordHash }) => passwordHash)}::text[],
                  ${column(({ isVerified }) => (isVerified ? 'yes' : undefined))}::text[],
                  ${column(({ createdAt }) => createdAt?.toISOString())}::timestamptz[])
        AS given (id, email, email_normalized, username, username_normalized, name, profile_image_url, password_hash,
                  verified, created_at)
      -- In one order everywhere: two imports of the same people would otherwise wait for each other.
      ORDER BY email_normalized, username_normalized
      ON CONFLICT DO NOTHING
      RETURNING id
    ), audit AS (
      INSERT INTO audit_events (id, tenant_id, type, actor, user_id)
      SELECT record.id, ${tenantId}, 'user.imported', ${actor ?? null}, inserted.id
      FROM inserted JOIN unnest(${column(({ id }) => id)}::uuid[], ${users.map(() => newId())}::uuid[])
        AS record (user_id, id) ON record.user_id = inserted.id
    )
    SELECT id FROM inserted`;
  return rows.map(({ id }) => id);
}

export async function findUserByEmail(
  db: Queryable,
  tenantId: string,
  emailNormalized: string,
): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    SELECT ${columns(db)} FROM users WHERE tenant_id = ${tenantId} AND email_normalized = ${emailNormalized}`;
  return row && toUser(row);
}

/** Of each of the names its user, in their order. @param by the column that holds them */
export async function findUsersByName(
  db: Queryable,
  by: 'email_normalized' | 'username_normalized',
  names: { tenantId: string; name: string }[],
): Promise<(User | undefined)[]> {
  // One index scan for each: joined to a small table, PostgreSQL would read all of it.
  const rows = await db<(UserRow & { place: number })[]>`
    SELECT place::int, ${columns(db)}
    FROM unnest(${column(names, ({ tenantId }) => tenantId)}::uuid[], ${column(names, ({ name }) => name)}::text[])
           WITH ORDINALITY AS asked (of_tenant, asked_name, place),
         LATERAL (SELECT * FROM users WHERE tenant_id = of_tenant AND ${db.unsafe(by)} = asked_name LIMIT 1) AS users`;
  const users: (User | undefined)[] = names.map(() => undefined);
  for (const row of rows) users[row.place - 1] = toUser(row);
  return users;
}

export async function findUserByUsername(
  db: Queryable,
  tenantId: string,
  usernameNormalized: string,
): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    SELECT ${columns(db)} FROM users WHERE tenant_id = ${tenantId} AND username_normalized = ${usernameNormalized}`;
  return row && toUser(row);
}

/** @param tenantId another tenant's user is as absent as one that never was (S41) */
export async function findUserById(db: Queryable, tenantId: string, id: string): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    SELECT ${columns(db)} FROM users WHERE tenant_id = ${tenantId} AND id = ${id}`;
  return row && toUser(row);
}

/** Those of the ids that there are, in any order. */
export async function profilesOf(db: Queryable, ids: readonly string[]): Promise<Profile[]> {
  return db<Profile[]>`
    SELECT id, tenant_id AS "tenantId", email, username, name, profile_image_url AS "profileImageUrl",
           email_verified_at AS "emailVerifiedAt", created_at AS "createdAt"
    FROM users WHERE id = ANY(${ids as string[]}::uuid[])`;
}

/** The user as it is now and stays until the end of the transaction; others may go on to refer to it. */
export async function lockUser(db: Queryable, id: string): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`SELECT ${columns(db)} FROM users WHERE id = ${id} FOR NO KEY UPDATE`;
  return row && toUser(row);
}

/** Newest first, by keyset. */
export async function usersPage(
  db: Queryable,
  tenantId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<User[]> {
  const rows = await db<UserRow[]>`
    SELECT ${columns(db)} FROM users
    WHERE tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND id < ${after}`}
    ORDER BY id DESC LIMIT ${limit}`;
  return rows.map(toUser);
}

/** Replaces a hash only while it is still the one that was checked: a change in between must not be undone. */
export async function replacePasswordHash(db: Queryable, id: string, from: string, to: string): Promise<boolean> {
  const rows = await db`
    UPDATE users SET password_hash = ${to} WHERE id = ${id} AND password_hash = ${from} RETURNING id`;
  return rows.length > 0;
}

/** Sets the password of who has proven the address, if that is still theirs; it is verified with it. */
export async function setPassword(
  db: Queryable,
  id: string,
  { emailNormalized, passwordHash, name }: { emailNormalized: string; passwordHash: string; name?: string | undefined },
): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    UPDATE users SET
      password_hash = ${passwordHash}, email_verified_at = coalesce(email_verified_at, now()),
      name = coalesce(${name ?? null}, name)
    WHERE id = ${id} AND email_normalized = ${emailNormalized}
    RETURNING ${columns(db)}`;
  return row && toUser(row);
}

/** Takes an address as shown by its owner, and off the password that was set before. */
export async function claimUser(db: Queryable, id: string): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    UPDATE users SET password_hash = NULL, email_verified_at = now() WHERE id = ${id} RETURNING ${columns(db)}`;
  return row && toUser(row);
}

/** Disables a user, or enables one again; what was so already stays as it was. */
export async function setDisabled(db: Queryable, id: string, isDisabled: boolean): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    UPDATE users SET disabled_at = ${isDisabled ? db`coalesce(disabled_at, now())` : db`NULL`}
    WHERE id = ${id} RETURNING ${columns(db)}`;
  return row && toUser(row);
}

/** Marks the address verified if it is still the one that was proven. */
export async function markVerified(db: Queryable, id: string, emailNormalized: string): Promise<User | undefined> {
  const [row] = await db<UserRow[]>`
    UPDATE users SET email_verified_at = coalesce(email_verified_at, now())
    WHERE id = ${id} AND email_normalized = ${emailNormalized}
    RETURNING ${columns(db)}`;
  return row && toUser(row);
}

/** Gives a user another address, which has been proven. A taken one violates `users_tenant_id_email_normalized_key`. */
export async function replaceEmail(
  db: Queryable,
  id: string,
  { email, emailNormalized }: { email: string; emailNormalized: string },
): Promise<void> {
  await db`
    UPDATE users SET email = ${email}, email_normalized = ${emailNormalized}, email_verified_at = now()
    WHERE id = ${id}`;
}

/** Sessions and challenges go with the user, and so does an invitation of their address that still waits. */
export async function removeUser(db: Queryable, tenantId: string, id: string): Promise<boolean> {
  const rows = await db`
    WITH removed AS (DELETE FROM users WHERE tenant_id = ${tenantId} AND id = ${id} RETURNING email_normalized),
    uninvited AS (
      DELETE FROM invitations i USING removed r
      WHERE i.tenant_id = ${tenantId} AND i.email_normalized = r.email_normalized AND i.user_id IS NULL)
    SELECT FROM removed`;
  return rows.length > 0;
}

export async function administratorExists(db: Queryable): Promise<boolean> {
  const [row] = await db<{ exists: boolean }[]>`
    SELECT EXISTS (SELECT FROM users WHERE 'admin' = ANY(scopes))
      OR EXISTS (SELECT FROM roles JOIN user_roles ON user_roles.tenant_id = roles.tenant_id AND role = name
                 WHERE 'admin' = ANY(scopes)) AS exists`;
  return row?.exists === true;
}
