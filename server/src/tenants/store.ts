import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
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

export async function allTenants(db: Queryable): Promise<(Tenant & { createdAt: Date })[]> {
  const rows = await db<{ id: string; slug: string; created_at: Date }[]>`
    SELECT id, slug, created_at FROM tenants ORDER BY slug`;
  return rows.map(({ id, slug, created_at }) => ({ id, slug, createdAt: created_at }));
}
