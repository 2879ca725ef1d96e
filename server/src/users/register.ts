import { recordAudit } from '../audit/record.ts';
import { lettersBySource } from '../challenges/challenge.ts';
import { takeLetter } from '../challenges/store.ts';
import { newId } from '../crypto/ids.ts';
import type { PasswordHasher } from '../crypto/passwords.ts';
import type { Queryable, Transaction } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import type { Limits } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';
import { alreadyRegistered, registrationClosed } from './errors.ts';
import { noticeLetter } from './mails.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { findUserByEmail, findUserByUsername, insertUser, type NewUser } from './store.ts';
import { invalidField, readEmail, readProfileImageUrl, readUsername, type User } from './user.ts';
import { type LetterWorld, sendVerification } from './verify-email.ts';

export interface Registration {
  email?: string;
  username?: string;
  password?: string;
  name?: string;
  profile_image_url?: string;
}

/** What setting a password takes. */
export interface SettingPasswords {
  passwords: PasswordHasher;
  passwordPolicy: PasswordPolicy;
}

/**
 * Checks a registration and hashes its password: what must not happen while a transaction is open.
 * @throws invalidRequest, commonPassword, busy
 */
export async function prepareUser(
  { passwords, passwordPolicy }: SettingPasswords,
  tenantId: string,
  input: Registration,
): Promise<NewUser> {
  if (input.email === undefined && input.username === undefined) {
    throw invalidField('email', 'is required, or username, or both');
  }
  const address = input.email === undefined ? {} : readEmail(input.email);
  const username = input.username === undefined ? {} : readUsername(input.username);
  const profileImageUrl =
    input.profile_image_url === undefined ? undefined : readProfileImageUrl(input.profile_image_url);
  if (input.password !== undefined) await passwordPolicy.check(input.password);
  return {
    id: newId(),
    tenantId,
    ...address,
    ...username,
    ...(input.name === undefined ? {} : { name: input.name }),
    ...(profileImageUrl === undefined ? {} : { profileImageUrl }),
    ...(input.password === undefined ? {} : { passwordHash: await passwords.hash(input.password) }),
  };
}

/**
 * Whether anybody may register by themselves, and whether from there just now.
 * @throws registrationClosed, the error of a limit
 */
export async function admitRegistration(
  { registration, limits }: { registration: 'open' | 'private' | 'closed'; limits: Limits },
  ip: string,
): Promise<void> {
  if (registration === 'closed') throw registrationClosed({ detail: 'Ask whoever runs this service for an account.' });
  await limits.take([{ limit: lettersBySource, key: sourceOf(ip) }]);
}

export interface Registered {
  user: User;
  wroteLetter: boolean;
}

/**
 * Registers: the user, the challenge, its letter and the audit record, all in the caller's transaction.
 * @throws alreadyRegistered
 */
export async function register(
  world: LetterWorld,
  tx: Transaction,
  newUser: NewUser,
  origin: { ip?: string; actor?: string },
): Promise<Registered> {
  const user = await insertUser(tx, newUser);
  if (!user) throw await whatIsTaken(tx, newUser);
  const [wroteLetter] = await Promise.all([
    sendVerification(world, tx, user),
    recordAudit(tx, {
      tenantId: user.tenantId,
      type: 'user.registered',
      userId: user.id,
      actor: origin.actor ?? `user:${user.id}`,
      ...(origin.ip === undefined ? {} : { ip: origin.ip }),
    }),
  ]);
  return { user, wroteLetter };
}

/**
 * Registers so that the reply cannot tell a known address from an unknown one: the owner of a known one gets a letter
 * that says so. A username is public, so a taken one is told, and before anything is said about the address.
 * @returns whether there is a letter to deliver
 * @throws alreadyRegistered
 */
export async function registerPrivately(
  world: LetterWorld,
  tx: Transaction,
  newUser: NewUser,
  origin: { ip?: string },
): Promise<boolean> {
  const { tenantId, emailNormalized, usernameNormalized } = newUser;
  if (emailNormalized === undefined) {
    throw invalidField('email', 'is required here: tokens are given once the address is verified');
  }
  if (usernameNormalized !== undefined && (await findUserByUsername(tx, tenantId, usernameNormalized))) {
    throw alreadyRegistered(takenField('username'));
  }
  const known = await findUserByEmail(tx, tenantId, emailNormalized);
  if (known) return tellOwner(world, tx, known);
  try {
    return (await register(world, tx, newUser, origin)).wroteLetter;
  } catch (error) {
    // Registered by another call in this very moment: that one's letter tells the owner.
    const isTaken = error instanceof PosternError && error.code === 'users.already_registered';
    if (isTaken && (await findUserByEmail(tx, tenantId, emailNormalized))) return false;
    throw error;
  }
}

async function tellOwner(world: LetterWorld, tx: Transaction, owner: User): Promise<boolean> {
  const { tenantId, email, emailNormalized } = owner;
  if (email === null || emailNormalized === null) return false;
  // Counts as one of the address's letters: otherwise this call fills somebody's mailbox.
  if (!(await takeLetter(tx, newId(), { tenantId, emailNormalized }))) return false;
  await world.submitEmails(tx, [await noticeLetter(world, tx, { ...owner, email }, 'postern.already_registered')]);
  return true;
}

async function whatIsTaken(db: Queryable, { tenantId, emailNormalized }: NewUser) {
  const byEmail = emailNormalized !== undefined && (await findUserByEmail(db, tenantId, emailNormalized));
  return alreadyRegistered(takenField(byEmail ? 'email' : 'username'));
}

function takenField(path: 'email' | 'username') {
  const message = path === 'email' ? 'this address is registered already' : 'this username is taken';
  return { detail: `${path}: ${message}.`, errors: [{ path, message }] };
}
