import { recordAudit } from '../audit/record.ts';
import type { Database, Transaction } from '../database/database.ts';
import { roleNotFound } from './errors.ts';
import { type Role, readRoleName, readScopes } from './role.ts';
import { insertRole, lockRole, removeRole, replaceRole } from './store.ts';

/**
 * Ends, in the caller's transaction, every token that names one of these revisions.
 * @returns what to call after the commit
 */
export type Revoke = (tx: Transaction, revisions: readonly string[]) => Promise<() => void>;

export interface RoleWorld {
  db: Database;
  revoke: Revoke;
}

/** Which role, and who does something about it: absent for the command line. */
interface Named {
  tenantId: string;
  name: string;
  actor?: string;
}

/**
 * Makes a role, or gives one other scopes. Access tokens made of the former ones are dead on every node within a second:
 * the next ones, for the same refresh token, have those of now.
 * @throws invalidRequest
 */
export async function putRole(
  { db, revoke }: RoleWorld,
  { tenantId, name, actor }: Named,
  given: { scopes: string[]; description?: string },
): Promise<{ role: Role; isNew: boolean }> {
  const wanted = {
    name: readRoleName(name),
    scopes: readScopes(given.scopes),
    description: given.description ?? null,
  };
  const event = { tenantId, ...(actor === undefined ? {} : { actor }) };
  const data = { role: name, scopes: wanted.scopes.join(' ') };
  const done = await db.begin(async (tx) => {
    const made = await insertRole(tx, tenantId, wanted);
    if (made) {
      await recordAudit(tx, { ...event, type: 'role.created', data });
      return { role: made, isNew: true, announce: () => {} };
    }
    const former = await lockRole(tx, tenantId, name);
    // Deleted in this very moment.
    if (!former) throw roleNotFound({ detail: 'Somebody has just deleted it.' });
    const isOther = former.scopes.toSorted().join(' ') !== wanted.scopes.toSorted().join(' ');
    const role = await replaceRole(tx, tenantId, wanted, isOther);
    await recordAudit(tx, { ...event, type: 'role.updated', data });
    return { role, isNew: false, announce: isOther ? await revoke(tx, [former.revision]) : () => {} };
  });
  done.announce();
  return done;
}

/**
 * Deletes a role; nobody has it any more, within a second.
 * @throws roleNotFound
 */
export async function deleteRole({ db, revoke }: RoleWorld, { tenantId, name, actor }: Named): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const revision = await removeRole(tx, tenantId, name);
    if (revision === undefined) throw roleNotFound();
    const event = { tenantId, ...(actor === undefined ? {} : { actor }) };
    await recordAudit(tx, { ...event, type: 'role.deleted', data: { role: name } });
    return revoke(tx, [revision]);
  });
  announce();
}
