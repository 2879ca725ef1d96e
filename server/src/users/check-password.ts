import type { PasswordHasher } from '../crypto/passwords.ts';
import type { Queryable } from '../database/database.ts';
import { normalizeEmail, parseAddress } from '../emails/address.ts';
import { findUserByEmail, findUserByUsername, replacePasswordHash } from './store.ts';
import { normalizeUsername, type User } from './user.ts';

export type LoginName = { email: string } | { username: string };

/**
 * The user whose password this is. Every failure costs one hash, whether the user exists or not (S1).
 *
 * @param tenantId undefined where no such tenant exists: fails like a wrong password
 * @throws busy
 */
export async function checkPassword(
  { db, passwords }: { db: Queryable; passwords: PasswordHasher },
  tenantId: string | undefined,
  name: LoginName,
  password: string,
): Promise<User | undefined> {
  const user = tenantId === undefined ? undefined : await findByName(db, tenantId, name);
  const { ok, needsRehash } = await passwords.verify(user?.passwordHash ?? undefined, password);
  if (!user || !ok) return undefined;
  if (needsRehash && user.passwordHash !== null) {
    // The only moment the password is at hand to give it today's parameters.
    const passwordHash = await passwords.hash(password);
    if (await replacePasswordHash(db, user.id, user.passwordHash, passwordHash)) return { ...user, passwordHash };
  }
  return user;
}

/** The user part of HTTP Basic may be either: a username holds no `@`. */
export function toLoginName(text: string): LoginName {
  return text.includes('@') ? { email: text } : { username: text };
}

async function findByName(db: Queryable, tenantId: string, name: LoginName): Promise<User | undefined> {
  if ('username' in name) {
    // PostgreSQL takes no NUL in text, and no username holds one.
    return name.username.includes('\0')
      ? undefined
      : findUserByUsername(db, tenantId, normalizeUsername(name.username));
  }
  let emailNormalized: string;
  try {
    emailNormalized = normalizeEmail(parseAddress(name.email));
  } catch {
    return undefined; // not an address, so nobody's
  }
  return findUserByEmail(db, tenantId, emailNormalized);
}
