import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
import type { Quota } from './quotas.ts';
import type { Tenant } from './tenants.ts';

export async function findTenantBySlug(db: Queryable, slug: string): Promise<Tenant | undefined> {
  const [row] = await db<Tenant[]>`SELECT id, slug FROM tenants WHERE slug = ${slug}`;
  return row;
}

export async function findTenantById(db: Queryable, id: string): Promise<Tenant | undefined> {
  const [row] = await db<Tenant[]>`SELECT id, slug FROM tenants WHERE id = ${id}`;
  return row;
}

/** The new tenant, or undefined where the slug is taken. */
export async function insertTenant(
  db: Queryable,
  slug: string,
  userScopes: string[] | null = null,
): Promise<Tenant | undefined> {
  const [row] = await db<Tenant[]>`
    INSERT INTO tenants (id, slug, user_scopes) VALUES (${newId()}, ${slug}, ${userScopes})
    ON CONFLICT DO NOTHING RETURNING id, slug`;
  return row;
}

export interface TenantSummary extends Tenant, Quota {
  createdAt: Date;
  /** Null is what is usual. */
  userScopes: string[] | null;
}

export async function allTenants(db: Queryable): Promise<TenantSummary[]> {
  return db<TenantSummary[]>`
    SELECT id, slug, created_at AS "createdAt", daily_quota AS daily, per_second_quota AS "perSecond",
           user_scopes AS "userScopes"
    FROM tenants ORDER BY slug`;
}

/** What users' own sessions may do in a tenant; null is what is usual. */
export async function findUserScopes(db: Queryable, id: string): Promise<string[] | null> {
  const [row] = await db<{ userScopes: string[] | null }[]>`
    SELECT user_scopes AS "userScopes" FROM tenants WHERE id = ${id}`;
  return row?.userScopes ?? null;
}

/** Returns the revision of what was before, which tokens name, or undefined where that was the same. */
export async function replaceUserScopes(
  db: Queryable,
  id: string,
  scopes: string[] | null,
): Promise<string | undefined> {
  const [row] = await db<{ revision: string }[]>`
    UPDATE tenants SET user_scopes = ${scopes}, user_scopes_revision = DEFAULT
    FROM (SELECT id, user_scopes_revision AS revision FROM tenants WHERE id = ${id} FOR NO KEY UPDATE) former
    WHERE tenants.id = former.id AND user_scopes IS DISTINCT FROM ${scopes}
    RETURNING former.revision`;
  return row?.revision;
}
