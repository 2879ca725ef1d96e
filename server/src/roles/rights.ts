/** What a user's own session may do, read in whatever statement reads the user or the session. */
import type { Queryable } from '../database/database.ts';
import { usualScopes } from '../tenants/user-scopes.ts';

export interface Rights {
  /** All of them: those of every session in the tenant, the user's own, and those of the user's roles. */
  scopes: string[];
  /** Names of the user's roles. */
  roles: string[];
  /** What the scopes were made from. Tokens carry them, so that revoking one ends those tokens. */
  revisions: string[];
}

/** As `rightsOf` gives it. */
export interface StoredRights {
  direct: string[];
  tenant: { scopes: string[] | null; revision: string };
  roles: { name: string; scopes: string[]; revisions: string[] }[] | null;
}

/**
 * SQL: one column of JSON. Each scope stands beside the revision that it is of, in one row, so whatever the statement saw
 * of a change under way, the scopes and the revisions in a token belong together.
 * @param user the table or alias with the user's id, tenant_id and scopes
 */
export function rightsOf(db: Queryable, user: 'users' | 'u') {
  const of = db.unsafe(user);
  return db`json_build_object(
    'direct', ${of}.scopes,
    'tenant', (SELECT json_build_object('scopes', user_scopes, 'revision', user_scopes_revision)
               FROM tenants WHERE tenants.id = ${of}.tenant_id),
    'roles', (SELECT json_agg(json_build_object('name', name, 'scopes', roles.scopes,
                                                'revisions', ARRAY[roles.revision, user_roles.revision]) ORDER BY name)
              FROM user_roles JOIN roles ON roles.tenant_id = user_roles.tenant_id AND roles.name = user_roles.role
              WHERE user_roles.user_id = ${of}.id))`;
}

export function readRights({ direct, tenant, roles }: StoredRights): Rights {
  const held = roles ?? [];
  return {
    scopes: [...new Set([...(tenant.scopes ?? usualScopes), ...direct, ...held.flatMap(({ scopes }) => scopes)])],
    roles: held.map(({ name }) => name),
    revisions: [tenant.revision, ...held.flatMap(({ revisions }) => revisions)],
  };
}
