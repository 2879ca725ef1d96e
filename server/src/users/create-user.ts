/** What an operator does: no letter, no session, and rights if need be. */
import { recordAudit } from '../audit/record.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import { grantRoles } from '../roles/grant-role.ts';
import { alreadyRegistered, userNotFound } from './errors.ts';
import { prepareUser, type Registration, type SettingPasswords } from './register.ts';
import { findUserByEmail, findUserById, insertUser, type NewUser, usersPage } from './store.ts';
import { readEmail, type User } from './user.ts';

export interface NewAccount extends Registration {
  tenantId: string;
  scopes?: string[];
  roles?: string[];
  isVerified?: boolean;
}

/** @throws alreadyRegistered, invalidRequest, commonPassword, roleNotFound, tooManyRoles */
export async function createUser(
  world: SettingPasswords & { db: Database },
  { tenantId, scopes, roles = [], isVerified, ...registration }: NewAccount,
): Promise<User> {
  const prepared = await prepareUser(world, tenantId, registration);
  const account = { ...prepared, scopes: scopes ?? [], isVerified: isVerified ?? false };
  const user = await world.db.begin(async (tx) => {
    const made = await insertAccount(tx, account);
    if (made) await grantRoles(tx, { userId: made.id, tenantId }, roles);
    return made;
  });
  if (!user) throw alreadyRegistered({ detail: 'The e-mail address or the username is taken in this tenant.' });
  return user;
}

/** Newest first, by keyset. */
export async function listUsers(
  db: Queryable,
  tenantId: string,
  page: { limit: number; after?: string },
): Promise<{ users: User[]; hasMore: boolean }> {
  const users = await usersPage(db, tenantId, { ...page, limit: page.limit + 1 });
  return { users: users.slice(0, page.limit), hasMore: users.length > page.limit };
}

/**
 * The user that a path names.
 * @throws userNotFound, also for another tenant's (S41)
 */
export async function findNamedUser(db: Queryable, tenantId: string, uuid: string): Promise<User> {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) throw userNotFound();
  return findUser(db, tenantId, { id: uuid.toLowerCase() });
}

/**
 * By id or by e-mail address.
 * @throws userNotFound, invalidRequest
 */
export async function findUser(db: Queryable, tenantId: string, by: { id: string } | { email: string }): Promise<User> {
  const user =
    'id' in by
      ? await findUserById(db, tenantId, by.id)
      : await findUserByEmail(db, tenantId, readEmail(by.email).emailNormalized);
  if (!user) throw userNotFound();
  return user;
}

/** Inserts a user with the audit record, and nothing else. */
export async function insertAccount(tx: Transaction, account: NewUser): Promise<User | undefined> {
  const user = await insertUser(tx, account);
  if (user) await recordAudit(tx, { tenantId: user.tenantId, type: 'user.registered', userId: user.id });
  return user;
}
