import type { Database } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import { normalizeEmail, parseAddress } from '../emails/address.ts';
import { findUsersByName, replacePasswordHash } from './store.ts';
import { type PasswordWorld, tryInTurn } from './try-password.ts';
import { normalizeUsername, type User } from './user.ts';

export type LoginName = { email: string } | { username: string };

export interface CheckingPasswords extends PasswordWorld {
  db: Database;
  findByName: FindByName;
}

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
  world: CheckingPasswords,
  { tenantId, name, password, ip }: { tenantId: string | undefined; name: LoginName; password: string; ip: string },
): Promise<User | undefined> {
  const { db, passwords, findByName } = world;
  const normalized = normalizedName(name);
  const tried = JSON.stringify([tenantId, normalized ?? name]);
  const { user, ok, needsRehash } = await passwords.inTurn(async () => {
    const found = tenantId === undefined || !normalized ? undefined : await findByName({ tenantId, name: normalized });
    return { user: found?.user, ...(await tryInTurn(world, { user: found?.user, name: tried, password, ip })) };
  });
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

/** @param asked `name` normalized */
export type FindByName = (asked: { tenantId: string; name: LoginName }) => Promise<{ user: User | undefined }>;

/** Those who are looked for at the same time share a statement. */
export function makeFindByName(db: Database): FindByName {
  const finder = (by: 'email_normalized' | 'username_normalized') =>
    gather(
      async (names: { tenantId: string; name: string }[]) =>
        (await findUsersByName(db, by, names)).map((user) => ({ user })),
      { writers: 2, maxItems: 500, maxSize: 500, sizeOf: () => 1 },
    );
  const byEmail = finder('email_normalized');
  const byUsername = finder('username_normalized');
  return ({ tenantId, name }) =>
    'username' in name ? byUsername({ tenantId, name: name.username }) : byEmail({ tenantId, name: name.email });
}
