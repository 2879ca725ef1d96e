import type { Queryable } from '../database/database.ts';
import type { NewDkimKey } from './dkim-key.ts';
import type { DkimAlgorithm, Domain, DomainKey, Finding } from './domain.ts';

interface DomainRow {
  id: string;
  tenant_id: string;
  domain: string;
  token: string;
  created_at: Date;
  verified_at: Date | null;
  checked_at: Date | null;
  findings: Record<string, Finding> | null;
  keys: {
    selector: string;
    algorithm: DkimAlgorithm;
    public_key: string;
    created_at: string;
    published_at: string | null;
    retired_at: string | null;
  }[];
}

const columns = (db: Queryable) => db`
  d.id, d.tenant_id, d.domain, d.token, d.created_at, d.verified_at, d.checked_at, d.findings,
  coalesce((SELECT json_agg(json_build_object('selector', k.selector, 'algorithm', k.algorithm,
                                              'public_key', k.public_key, 'created_at', k.created_at,
                                              'published_at', k.published_at, 'retired_at', k.retired_at)
                            ORDER BY k.created_at DESC, k.algorithm DESC)
            FROM dkim_keys k WHERE k.domain_id = d.id), '[]') AS keys`;

function toDomain(row: DomainRow): Domain {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    domain: row.domain,
    token: row.token,
    createdAt: row.created_at,
    verifiedAt: row.verified_at,
    checkedAt: row.checked_at,
    findings: row.findings ?? {},
    keys: row.keys.map(
      (key): DomainKey => ({
        selector: key.selector,
        algorithm: key.algorithm,
        publicKey: key.public_key,
        createdAt: new Date(key.created_at),
        publishedAt: key.published_at === null ? null : new Date(key.published_at),
        retiredAt: key.retired_at === null ? null : new Date(key.retired_at),
      }),
    ),
  };
}

/** @returns whether it was not there yet */
export async function insertDomain(
  db: Queryable,
  { id, tenantId, domain, token }: { id: string; tenantId: string; domain: string; token: string },
): Promise<boolean> {
  const rows = await db`
    INSERT INTO domains (id, tenant_id, domain, token) VALUES (${id}, ${tenantId}, ${domain}, ${token})
    ON CONFLICT DO NOTHING RETURNING id`;
  return rows.length > 0;
}

export async function insertDkimKeys(db: Queryable, domainId: string, keys: NewDkimKey[]): Promise<void> {
  for (const { selector, algorithm, publicKey, privateSealed } of keys) {
    await db`
      INSERT INTO dkim_keys (domain_id, selector, algorithm, public_key, private_sealed)
      VALUES (${domainId}, ${selector}, ${algorithm}, ${publicKey}, ${privateSealed})`;
  }
}

export async function findDomain(db: Queryable, tenantId: string, id: string): Promise<Domain | undefined> {
  const [row] = await db<DomainRow[]>`
    SELECT ${columns(db)} FROM domains d WHERE d.tenant_id = ${tenantId} AND d.id = ${id}`;
  return row && toDomain(row);
}

/** Keeps whoever else would change the domain waiting until the transaction ends. */
export async function lockDomain(tx: Queryable, tenantId: string, id: string): Promise<Domain | undefined> {
  await tx`SELECT FROM domains WHERE tenant_id = ${tenantId} AND id = ${id} FOR UPDATE`;
  return findDomain(tx, tenantId, id);
}

/** Oldest first. @param after only those made after this one */
export async function domainsPage(
  db: Queryable,
  tenantId: string,
  { after, limit }: { after?: string; limit: number },
): Promise<Domain[]> {
  const rows = await db<DomainRow[]>`
    SELECT ${columns(db)} FROM domains d
    WHERE d.tenant_id = ${tenantId} ${after === undefined ? db`` : db`AND d.id > ${after}`}
    ORDER BY d.id LIMIT ${limit}`;
  return rows.map(toDomain);
}

export async function deleteDomain(db: Queryable, tenantId: string, id: string): Promise<boolean> {
  const rows = await db`DELETE FROM domains WHERE tenant_id = ${tenantId} AND id = ${id} RETURNING id`;
  return rows.length > 0;
}

/** Writes what a check has found. What is verified stays so. */
export async function writeFindings(
  db: Queryable,
  id: string,
  findings: Record<string, Finding>,
  isOwned: boolean,
): Promise<void> {
  await db`
    UPDATE domains
    SET checked_at = now(), findings = ${JSON.stringify(findings)}::text::jsonb,
        verified_at = coalesce(verified_at, CASE WHEN ${isOwned}::boolean THEN now() END)
    WHERE id = ${id}`;
}

/** Notes which keys' records are there; a key whose record is gone must not sign. */
export async function writePublished(
  db: Queryable,
  id: string,
  { present, absent }: { present: string[]; absent: string[] },
): Promise<void> {
  await db`
    UPDATE dkim_keys
    SET published_at = CASE WHEN selector = ANY (${present}::text[]) THEN coalesce(published_at, now()) END
    WHERE domain_id = ${id} AND selector = ANY (${[...present, ...absent]}::text[])`;
}

/** Retires keys that a newer one, whose record is there, has taken the place of. */
export async function retireReplacedKeys(db: Queryable, id: string): Promise<void> {
  await db`
    UPDATE dkim_keys k SET retired_at = now(), private_sealed = NULL
    WHERE k.domain_id = ${id} AND k.retired_at IS NULL
      AND EXISTS (SELECT FROM dkim_keys newer
                  WHERE newer.domain_id = k.domain_id AND newer.algorithm = k.algorithm
                    AND newer.published_at IS NOT NULL AND newer.created_at > k.created_at)`;
}

/** Forgets keys retired so long ago that no letter signed with them is still on its way. */
export async function deleteOldKeys(db: Queryable, id: string): Promise<void> {
  await db`DELETE FROM dkim_keys WHERE domain_id = ${id} AND retired_at < now() - interval '30 days'`;
}

/** The domains a tenant has proved to own. */
export async function verifiedDomains(db: Queryable, tenantId: string): Promise<string[]> {
  const rows = await db<{ domain: string }[]>`
    SELECT domain FROM domains WHERE tenant_id = ${tenantId} AND verified_at IS NOT NULL`;
  return rows.map(({ domain }) => domain);
}

export interface SigningKeyRow {
  selector: string;
  algorithm: DkimAlgorithm;
  private_sealed: Uint8Array;
}

/**
 * The keys that sign for a domain, one of each algorithm: the newest whose record was seen, of a domain that is verified.
 * @param orTenant slug of a tenant whose keys do where the tenant has none
 */
export async function signingKeys(
  db: Queryable,
  tenantId: string,
  domain: string,
  orTenant: string | null,
): Promise<SigningKeyRow[]> {
  return db<SigningKeyRow[]>`
    SELECT DISTINCT ON (k.algorithm) k.selector, k.algorithm, k.private_sealed
    FROM domains d JOIN dkim_keys k ON k.domain_id = d.id
    WHERE d.domain = ${domain} AND d.verified_at IS NOT NULL
      AND (d.tenant_id = ${tenantId} OR d.tenant_id = (SELECT id FROM tenants WHERE slug = ${orTenant}))
      AND k.published_at IS NOT NULL AND k.private_sealed IS NOT NULL
    ORDER BY k.algorithm DESC, d.tenant_id = ${tenantId} DESC, k.created_at DESC`;
}
