/** What users' own sessions may do in a tenant: what is usual, or less. */
import { recordAudit } from '../audit/record.ts';
import type { Database, Transaction } from '../database/database.ts';
import { invalidRequest } from '../http/problem.ts';
import { replaceUserScopes } from './store.ts';

/** Where a tenant does not say otherwise. */
export const usualScopes = ['basic', 'email'] as const;

export interface UserScopesWorld {
  db: Database;
  /** Ends every token that names one of these revisions; call what it returns after the commit. */
  revoke: (tx: Transaction, revisions: readonly string[]) => Promise<() => void>;
}

/**
 * Access tokens that were made before are dead within a second, the next ones of their sessions have what is said here.
 * @param scopes null is what is usual
 */
export async function setUserScopes(
  { db, revoke }: UserScopesWorld,
  { tenantId, actor }: { tenantId: string; actor?: string },
  scopes: string[] | null,
): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const former = await replaceUserScopes(tx, tenantId, scopes);
    if (former === undefined) return () => {};
    const data = { user_scopes: (scopes ?? usualScopes).join(' ') };
    await recordAudit(tx, { tenantId, type: 'tenant.updated', data, ...(actor === undefined ? {} : { actor }) });
    return revoke(tx, [former]);
  });
  announce();
}

/** Null for all that is usual. @throws invalidRequest: a tenant narrows what is usual, roles add to it */
export function readUserScopes(given: string[]): string[] | null {
  const scopes = usualScopes.filter((usual) => given.includes(usual));
  if (given.every((scope) => usualScopes.some((usual) => usual === scope))) {
    return scopes.length === usualScopes.length ? null : scopes;
  }
  const message = `must be some of: ${usualScopes.join(' ')}`;
  throw invalidRequest({ detail: `user_scopes: ${message}`, errors: [{ path: 'user_scopes', message }] });
}
