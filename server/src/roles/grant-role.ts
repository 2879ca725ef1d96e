/** Giving roles to a user, and taking one away. */
import { recordAudit } from '../audit/record.ts';
import type { Database, Transaction } from '../database/database.ts';
import { roleNotFound, tooManyRoles } from './errors.ts';
import type { RoleWorld } from './manage-roles.ts';
import { maxRolesOfUser } from './role.ts';
import { insertUserRoles, keepRoles, removeUserRole, rolesOfUser } from './store.ts';

interface Grant {
  userId: string;
  tenantId: string;
  actor?: string | undefined;
}

/**
 * Gives a user roles, in the transaction in which the user is locked or made. They are in the tokens that are made next.
 * @throws roleNotFound, tooManyRoles
 */
export async function grantRoles(tx: Transaction, grant: Grant, names: readonly string[]): Promise<void> {
  const roles = [...new Set(names)];
  const missing = await missingRoles(tx, grant.tenantId, roles);
  if (missing !== undefined) throw roleNotFound({ detail: `There is no role "${missing}".` });
  await grantExisting(tx, grant, roles);
}

/** The same where roles may have gone since they were chosen: those are left out. */
export async function grantRemaining(tx: Transaction, grant: Grant, names: readonly string[]): Promise<void> {
  await grantExisting(tx, grant, await keepRoles(tx, grant.tenantId, [...names]));
}

/** The first that there is none of; the others stay until the end of the transaction. */
export async function missingRoles(
  tx: Transaction,
  tenantId: string,
  names: readonly string[],
): Promise<string | undefined> {
  if (names.length === 0) return undefined;
  const there = await keepRoles(tx, tenantId, [...names]);
  return names.find((name) => !there.includes(name));
}

async function grantExisting(tx: Transaction, { userId, tenantId, actor }: Grant, roles: string[]): Promise<void> {
  if (roles.length === 0) return;
  const granted = await insertUserRoles(tx, { userId, tenantId, roles });
  if ((await rolesOfUser(tx, userId)).length > maxRolesOfUser) {
    throw tooManyRoles({ detail: `A user has at most ${maxRolesOfUser} roles.` });
  }
  for (const role of granted) {
    const who = actor === undefined ? {} : { actor };
    await recordAudit(tx, { tenantId, userId, type: 'user.role_granted', data: { role }, ...who });
  }
}

/**
 * Takes a role away. Access tokens made of it are dead on every node within a second; sessions go on without it.
 * @throws roleNotFound where the user does not have it
 */
export async function takeRole(
  { db, revoke }: RoleWorld & { db: Database },
  { userId, tenantId, actor }: Grant,
  role: string,
): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const revision = await removeUserRole(tx, userId, role);
    if (revision === undefined) throw roleNotFound({ detail: 'This user does not have it.' });
    const who = actor === undefined ? {} : { actor };
    await recordAudit(tx, { tenantId, userId, type: 'user.role_taken', data: { role }, ...who });
    return revoke(tx, [revision]);
  });
  announce();
}
