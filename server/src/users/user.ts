/**
 * Users: the persons of a tenant, each with an e-mail address, a username, or both. This folder owns the table `users`:
 * registering, proving the address, reading, changing the password, deleting. It leaves tokens to `sessions/` and the
 * proof itself to `challenges/`. This file holds the shapes its operations share.
 */
import { normalizeEmail, parseAddress } from '../emails/address.ts';
import { type Caller, refuseDelegated } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Rights } from '../roles/rights.ts';
import { usersOnly } from './errors.ts';
import type { UserAnswer } from './schemas.ts';

export interface User {
  id: string;
  tenantId: string;
  /** Domain in lower-case A-labels, local part as it was given. */
  email: string | null;
  emailNormalized: string | null;
  username: string | null;
  name: string | null;
  profileImageUrl: string | null;
  passwordHash: string | null;
  hasSecondFactor: boolean;
  /** The user's own, beyond those of every user session and of the user's roles. */
  scopes: string[];
  rights: Rights;
  emailVerifiedAt: Date | null;
  disabledAt: Date | null;
  createdAt: Date;
}

/** What callers are told of a user. */
export type Profile = Pick<
  User,
  'id' | 'tenantId' | 'email' | 'username' | 'name' | 'profileImageUrl' | 'emailVerifiedAt' | 'createdAt'
>;

/** As callers see it. */
export function presentUser(user: Profile, tenantSlug: string): UserAnswer {
  return {
    uuid: user.id,
    email: user.email,
    username: user.username,
    name: user.name,
    profile_image_url: user.profileImageUrl,
    email_verified: user.emailVerifiedAt !== null,
    server: tenantSlug,
    created_at: user.createdAt.toISOString(),
  };
}

/** Whether a user holds every right, by a role or otherwise. Who may write users is not thereby above those. */
export function isAdministrator({ rights }: User): boolean {
  return rights.scopes.includes('admin');
}

export interface Address {
  email: string;
  emailNormalized: string;
}

/** @throws invalidRequest naming the field */
export function readEmail(text: string, path = 'email'): Address {
  try {
    const email = parseAddress(text);
    return { email, emailNormalized: normalizeEmail(email) };
  } catch (error) {
    throw invalidField(path, error instanceof Error ? error.message : 'is not an e-mail address');
  }
}

export interface Username {
  username: string;
  usernameNormalized: string;
}

/**
 * A username has 1 to 64 visible characters. `@` would make it look like an address and `:` would end it in HTTP Basic.
 * Two that look the same, or differ in case alone, are one (NFKC, lower case).
 * @throws invalidRequest
 */
export function readUsername(text: string): Username {
  const usernameNormalized = normalizeUsername(text);
  const isUsable = (name: string) => /^[^\s@:\p{C}]{1,64}$/u.test(name);
  if (!isUsable(text) || !isUsable(usernameNormalized)) {
    throw invalidField('username', 'must be 1 to 64 visible characters without spaces, "@" and ":"');
  }
  return { username: text, usernameNormalized };
}

export function normalizeUsername(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

export function invalidField(path: string, message: string) {
  return invalidRequest({ detail: `${path}: ${message}`, errors: [{ path, message }] });
}

/** The rule of the schemas of `register-routes.ts`, where no schema has checked it. @throws invalidRequest */
export function readName(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (text.length < 1 || text.length > 200 || /[\u0000-\u001f\u007f]/.test(text)) {
    throw invalidField('name', 'must be 1 to 200 characters, none of them a control character');
  }
  return text;
}

/** @throws invalidRequest */
export function readProfileImageUrl(text: string): string {
  if (text.length > 2048 || !/^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) || !URL.canParse(text)) {
    throw invalidField('profile_image_url', 'is not a URL');
  }
  return text;
}

/**
 * A caller that is a person, and no program that has a token of theirs.
 * @throws usersOnly, forbidden
 */
export function userCaller(caller: Caller): Caller {
  refuseDelegated(caller);
  return userOf(caller);
}

/**
 * A caller that is a person, or a program in a person's name.
 * @throws usersOnly
 */
export function userOf(caller: Caller): Caller {
  if (caller.kind !== 'user') throw usersOnly({ detail: 'A client has no account; log a user in.' });
  return caller;
}

/** Where a request came from, as sessions and the audit record keep it. */
export interface Origin {
  ip: string;
  userAgent?: string;
}

export function originOf(request: { ip: string; headers: { 'user-agent'?: string | undefined } }): Origin {
  const userAgent = request.headers['user-agent']?.slice(0, 512);
  return { ip: request.ip, ...(userAgent === undefined ? {} : { userAgent }) };
}
