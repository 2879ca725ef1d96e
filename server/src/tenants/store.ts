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
export async function insertTenant(db: Queryable, slug: string): Promise<Tenant | undefined> {
  const [row] = await db<Tenant[]>`
    INSERT INTO tenants (id, slug) VALUES (${newId()}, ${slug}) ON CONFLICT DO NOTHING RETURNING id, slug`;
  return row;
}

export async function allTenants(db: Queryable): Promise<(Tenant & Quota & { createdAt: Date })[]> {
  return db<(Tenant & Quota & { createdAt: Date })[]>`
    SELECT id, slug, created_at AS "createdAt", daily_quota AS daily, per_second_quota AS "perSecond"
    FROM tenants ORDER BY slug`;
}
