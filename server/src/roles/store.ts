import type { Queryable, Transaction } from '../database/database.ts';
import type { Role } from './role.ts';

const columns = (db: Queryable) => db`
  name, scopes, description, created_at AS "createdAt", updated_at AS "updatedAt"`;

/** By name, by keyset. */
export async function rolesPage(
  db: Queryable,
  tenantId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Role[]> {
  return db<Role[]>`
    SELECT ${columns(db)} FROM roles
    WHERE tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND name > ${after}`}
    ORDER BY name LIMIT ${limit}`;
}

/** Those of the names that there are; they stay until the end of the transaction. */
export async function keepRoles(tx: Transaction, tenantId: string, names: string[]): Promise<string[]> {
  const rows = await tx<{ name: string }[]>`
    SELECT name FROM roles WHERE tenant_id = ${tenantId} AND name = ANY(${names}) ORDER BY name FOR KEY SHARE`;
  return rows.map(({ name }) => name);
}

/** The role as it is until the end of the transaction. */
export async function lockRole(
  tx: Transaction,
  tenantId: string,
  name: string,
): Promise<{ scopes: string[]; revision: string } | undefined> {
  const [row] = await tx<{ scopes: string[]; revision: string }[]>`
    SELECT scopes, revision FROM roles WHERE tenant_id = ${tenantId} AND name = ${name} FOR NO KEY UPDATE`;
  return row;
}

export interface NewRole {
  name: string;
  scopes: string[];
  description: string | null;
}

/** The new role, or undefined where there is one of that name. */
export async function insertRole(
  tx: Transaction,
  tenantId: string,
  { name, scopes, description }: NewRole,
): Promise<Role | undefined> {
  const [row] = await tx<Role[]>`
    INSERT INTO roles (tenant_id, name, scopes, description) VALUES (${tenantId}, ${name}, ${scopes}, ${description})
    ON CONFLICT DO NOTHING RETURNING ${columns(tx)}`;
  return row;
}

/** @param isOther whether the scopes are others than before, which gives them a revision of their own */
export async function replaceRole(
  tx: Transaction,
  tenantId: string,
  { name, scopes, description }: NewRole,
  isOther: boolean,
): Promise<Role> {
  const [row] = await tx<Role[]>`
    UPDATE roles SET scopes = ${scopes}, description = ${description}, updated_at = now(),
      revision = ${isOther ? tx`DEFAULT` : tx`revision`}
    WHERE tenant_id = ${tenantId} AND name = ${name} RETURNING ${columns(tx)}`;
  if (!row) throw new Error('A role that is locked is gone.');
  return row;
}

/** Whoever has it has it no more. Returns its revision, or undefined where there was none. */
export async function removeRole(tx: Transaction, tenantId: string, name: string): Promise<string | undefined> {
  const [row] = await tx<{ revision: string }[]>`
    DELETE FROM roles WHERE tenant_id = ${tenantId} AND name = ${name} RETURNING revision`;
  return row?.revision;
}

export async function rolesOfUser(db: Queryable, userId: string): Promise<(Role & { grantedAt: Date })[]> {
  return db<(Role & { grantedAt: Date })[]>`
    SELECT ${columns(db)}, granted_at AS "grantedAt"
    FROM user_roles JOIN roles USING (tenant_id) WHERE user_id = ${userId} AND role = name ORDER BY name`;
}

/** Returns those of the roles that the user did not have. */
export async function insertUserRoles(
  tx: Transaction,
  { userId, tenantId, roles }: { userId: string; tenantId: string; roles: string[] },
): Promise<string[]> {
  const rows = await tx<{ role: string }[]>`
    INSERT INTO user_roles (user_id, tenant_id, role)
    SELECT ${userId}, ${tenantId}, unnest(${roles}::text[])
    ON CONFLICT DO NOTHING RETURNING role`;
  return rows.map(({ role }) => role);
}

/** Returns the revision under which the user had the role, or undefined where they did not. */
export async function removeUserRole(tx: Transaction, userId: string, role: string): Promise<string | undefined> {
  const [row] = await tx<{ revision: string }[]>`
    DELETE FROM user_roles WHERE user_id = ${userId} AND role = ${role} RETURNING revision`;
  return row?.revision;
}
