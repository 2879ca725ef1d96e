import type { Queryable } from '../database/database.ts';
import { normalizeEmail, parseAddress } from '../emails/address.ts';
import { findUserByEmail, findUserByUsername, replacePasswordHash } from './store.ts';
import { type PasswordWorld, tryPassword } from './try-password.ts';
import { normalizeUsername, type User } from './user.ts';

export type LoginName = { email: string } | { username: string };

/**
 * The user whose password this is. Every failure costs one hash and counts as one wrong try, whether the user exists or
 * not (S1).
 *
 * A disabled user has no password that is right.
 *
 * @param login `tenantId` undefined where no such tenant exists: fails like a wrong password
 * @throws the error of a limit, busy
 */
export async function checkPassword(
  world: PasswordWorld & { db: Queryable },
  { tenantId, name, password, ip }: { tenantId: string | undefined; name: LoginName; password: string; ip: string },
): Promise<User | undefined> {
  const { db, passwords } = world;
  const normalized = normalizedName(name);
  const user = tenantId === undefined || !normalized ? undefined : await findByName(db, tenantId, normalized);
  const tried = JSON.stringify([tenantId, normalized ?? name]);
  const { ok, needsRehash } = await tryPassword(world, { user, name: tried, password, ip });
  if (!user || !ok || user.disabledAt !== null) return undefined;
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

/** As users are found by; undefined where it can be nobody's name. */
function normalizedName(name: LoginName): LoginName | undefined {
  // PostgreSQL takes no NUL in text, and no username holds one.
  if ('username' in name) {
    return name.username.includes('\0') ? undefined : { username: normalizeUsername(name.username) };
  }
  try {
    return { email: normalizeEmail(parseAddress(name.email)) };
  } catch {
    return undefined; // not an address
  }
}

function findByName(db: Queryable, tenantId: string, name: LoginName): Promise<User | undefined> {
  return 'username' in name
    ? findUserByUsername(db, tenantId, name.username)
    : findUserByEmail(db, tenantId, name.email);
}
