/**
 * Tenants: isolated user pools and mail accounts, known to callers by a slug (the field `server`, the header
 * `Postern-Tenant`). This folder owns the table `tenants` and answers "which tenant is meant?"; which tenant a
 * credential belongs to is the credential's own matter. Tenants are never renamed or removed, so their names may be
 * remembered for as long as the process lives.
 */
import type { Database, Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { tenantExists, unknownTenant } from './errors.ts';
import { allTenants, findTenantById, findTenantBySlug, insertTenant, type TenantSummary } from './store.ts';

export interface Tenant {
  id: string;
  slug: string;
}

export interface TenantDirectory {
  /**
   * The tenant a public call names; `default` where it names none.
   * @throws unknownTenant when tenants are closed; invalidRequest when it cannot be a name
   */
  resolveTenant: (slug: string | undefined) => Promise<Tenant>;
  /** The tenant of that name, if there is one; makes none. */
  findTenant: (slug: string) => Promise<Tenant | undefined>;
  tenantSlug: (id: string) => Promise<string>;
}

export const defaultTenantSlug = 'default';

// Beyond so many the oldest are forgotten and read again.
const maxRemembered = 10_000;

export function openTenantDirectory({ db, tenants }: { db: Database; tenants: 'open' | 'closed' }): TenantDirectory {
  const bySlug = new Map<string, Tenant>();
  const byId = new Map<string, Tenant>();
  const remember = (tenant: Tenant) => {
    for (const known of [bySlug, byId]) {
      const oldest = known.size >= maxRemembered ? known.keys().next().value : undefined;
      if (oldest !== undefined) known.delete(oldest);
    }
    bySlug.set(tenant.slug, tenant);
    byId.set(tenant.id, tenant);
    return tenant;
  };
  const findTenant = async (slug: string) => {
    const known = bySlug.get(slug);
    if (known) return known;
    if (!isSlug(slug)) return undefined;
    const found = await findTenantBySlug(db, slug);
    return found && remember(found);
  };

  return {
    findTenant: (slug) => findTenant(slug.toLowerCase()),
    resolveTenant: async (named) => {
      const slug = checkSlug(named ?? defaultTenantSlug);
      const found = await findTenant(slug);
      if (found) return found;
      if (tenants === 'closed') throw unknownTenant({ detail: `There is no tenant "${slug}".` });
      return remember(await findOrInsert(db, slug));
    },
    tenantSlug: async (id) => {
      const known = byId.get(id) ?? (await findTenantById(db, id));
      if (!known) throw new Error(`A row names the tenant ${id}, which does not exist.`);
      return remember(known).slug;
    },
  };
}

/** `default` exists from the first start on. */
export async function ensureDefaultTenant(db: Queryable): Promise<Tenant> {
  return findOrInsert(db, defaultTenantSlug);
}

/** @throws tenantExists, invalidRequest */
export async function createTenant(db: Queryable, name: string, userScopes?: string[]): Promise<Tenant> {
  const slug = checkSlug(name);
  const made = await insertTenant(db, slug, userScopes);
  if (!made) throw tenantExists({ detail: `There is a tenant "${slug}" already.` });
  return made;
}

export async function listTenants(db: Queryable): Promise<TenantSummary[]> {
  return allTenants(db);
}

/**
 * Which tenant a public call names: the header `Postern-Tenant` or the field `server`.
 * @throws invalidRequest when both are given and differ
 */
export function namedTenant(header: string | string[] | undefined, server: string | undefined): string | undefined {
  const fromHeader = header?.toString();
  if (fromHeader !== undefined && server !== undefined && fromHeader.toLowerCase() !== server.toLowerCase()) {
    const message = 'names another tenant than the header Postern-Tenant';
    throw invalidRequest({ detail: `server ${message}.`, errors: [{ path: 'server', message }] });
  }
  return server ?? fromHeader;
}

/**
 * The tenant of a call with a credential: the credential's own. Naming another is naming one that does not exist.
 * @throws unknownTenant
 */
export async function tenantOfCaller(
  { tenantSlug }: Pick<TenantDirectory, 'tenantSlug'>,
  caller: Caller,
  named: string | undefined,
): Promise<Tenant> {
  const slug = await tenantSlug(caller.tenantId);
  if (named !== undefined && named.toLowerCase() !== slug) throw unknownTenant();
  return { id: caller.tenantId, slug };
}

async function findOrInsert(db: Queryable, slug: string): Promise<Tenant> {
  // Two that name it first at the same time: one inserts, the other finds what the first has committed.
  const tenant = (await insertTenant(db, slug)) ?? (await findTenantBySlug(db, slug));
  if (!tenant) throw new Error(`The tenant "${slug}" was neither made nor found.`);
  return tenant;
}

function isSlug(slug: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,62}$/.test(slug);
}

function checkSlug(name: string): string {
  const slug = name.toLowerCase();
  if (isSlug(slug)) return slug;
  const message = 'must be 1 to 63 letters, digits, dots, hyphens or underscores, and begin with a letter or digit';
  throw invalidRequest({ detail: `The name of a tenant ${message}.`, errors: [{ path: 'server', message }] });
}
