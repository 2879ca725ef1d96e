/** Taking over users from elsewhere, with the hashes of their passwords: no letter, no session, no event. */
import { readHash } from '../crypto/foreign-hashes.ts';
import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import { alreadyRegistered, unreadableHash } from './errors.ts';
import { insertImported, type NewImportedUser } from './store.ts';
import { invalidField, readEmail, readName, readProfileImageUrl, readUsername } from './user.ts';

/** As a line of a file or an item of a call says it. */
export interface ImportedUser {
  email?: string;
  username?: string;
  name?: string;
  profile_image_url?: string;
  password_hash?: string;
  email_verified?: boolean;
  /** RFC 3339. */
  created_at?: string;
}

/** In one transaction at most. */
export const maxImported = 1_000;

/**
 * Takes over some users, each on its own. One that is there already stays as it is, so what was interrupted is simply
 * begun anew.
 * @returns for each its id, or why it was not taken, in the same order
 */
export async function importUsers(
  db: Database,
  tenantId: string,
  users: ImportedUser[],
  actor?: string,
): Promise<({ id: string } | PosternError)[]> {
  const read = users.map((user) => readImported(tenantId, user));
  const rows = read.filter((one): one is NewImportedUser => !(one instanceof PosternError));
  const inserted = new Set(await db.begin((tx) => insertImported(tx, tenantId, rows, actor)));
  return read.map((one) => {
    if (one instanceof PosternError) return one;
    if (inserted.has(one.id)) return { id: one.id };
    return alreadyRegistered({ detail: 'The e-mail address or the username is taken in this tenant.' });
  });
}

function readImported(tenantId: string, user: ImportedUser): NewImportedUser | PosternError {
  try {
    const { email, username, name, profile_image_url, password_hash, email_verified, created_at } = user;
    if (email === undefined && username === undefined) throw invalidField('email', 'is required, or username, or both');
    if (password_hash !== undefined) checkHash(password_hash);
    return {
      id: newId(),
      tenantId,
      ...(email === undefined ? {} : readEmail(email)),
      ...(username === undefined ? {} : readUsername(username)),
      ...(name === undefined ? {} : { name: readName(name) }),
      ...(profile_image_url === undefined ? {} : { profileImageUrl: readProfileImageUrl(profile_image_url) }),
      ...(password_hash === undefined ? {} : { passwordHash: password_hash }),
      ...(created_at === undefined ? {} : { createdAt: readInstant(created_at) }),
      isVerified: email !== undefined && email_verified === true,
    };
  } catch (error) {
    if (error instanceof PosternError) return error;
    throw error;
  }
}

function checkHash(hash: string): void {
  try {
    readHash(hash);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw unreadableHash({ detail: `password_hash ${message}.`, errors: [{ path: 'password_hash', message }] });
  }
}

function readInstant(text: string): Date {
  const instant = new Date(text);
  const isInstant = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(text);
  if (!isInstant || Number.isNaN(instant.getTime()) || instant.getTime() > Date.now()) {
    throw invalidField('created_at', 'must be an instant of the past with its offset, as in 2024-05-01T12:00:00Z');
  }
  return instant;
}
