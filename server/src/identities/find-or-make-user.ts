import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Transaction } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import { claimAddress } from '../users/claim-user.ts';
import type { EndSessions } from '../users/delete-user.ts';
import { invalidCredentials, registrationClosed } from '../users/errors.ts';
import { noticeLetter } from '../users/mails.ts';
import { findUserByEmail, insertUser, lockUser } from '../users/store.ts';
import { type Address, readEmail, readName, readProfileImageUrl, type User } from '../users/user.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import { emailUnverified } from './errors.ts';
import type { OutsideAccount } from './identity.ts';
import { insertIdentity, useIdentity } from './store.ts';

export interface FindWorld extends LetterWorld {
  registration: 'open' | 'private' | 'closed';
  endSessions: EndSessions;
  wakeWorkers: () => void;
}

/**
 * The user whose outside account this is: who signed in with it before, else who has its address, if the provider vouches
 * for that and who then gets a letter about it, else somebody new.
 * @returns `announce` is to be called after the commit
 * @throws emailUnverified, registrationClosed, invalidCredentials where the user is disabled
 */
export async function findOrMakeUser(
  world: FindWorld,
  tx: Transaction,
  { tenantId, account, ip }: { tenantId: string; account: OutsideAccount; ip: string },
): Promise<{ user: User; announce: () => void }> {
  const knownId = await useIdentity(tx, tenantId, account);
  if (knownId !== undefined) return { user: enabled(await lockUser(tx, knownId)), announce: () => {} };
  const address = vouchedAddress(account);
  const findOwner = () => findUserByEmail(tx, tenantId, address.emailNormalized);
  const owner = await findOwner();
  const made = owner ? undefined : await makeUser(world, tx, { tenantId, account, address, ip });
  const { user, announce } = made
    ? { user: made, announce: () => {} }
    : // Or somebody has registered it in this very moment: that has committed, so it is found now.
      await joinOwner(world, tx, owner ?? enabled(await findOwner()));
  if (!(await insertIdentity(tx, { id: newId(), tenantId, userId: user.id }, account))) {
    // The same account came in twice at once, and the other was first.
    return findOrMakeUser(world, tx, { tenantId, account, ip });
  }
  const { id: userId } = user;
  await recordAudit(tx, {
    tenantId,
    type: 'identity.linked',
    actor: `user:${userId}`,
    userId,
    ip,
    data: { issuer: account.issuer },
  });
  if (made || user.email === null) return { user, announce };
  const letter = await noticeLetter(world, tx, { ...user, email: user.email }, 'postern.identity_linked', {
    provider: account.provider,
  });
  await world.submitEmails(tx, [letter]);
  const announceAll = () => {
    announce();
    world.wakeWorkers();
  };
  return { user, announce: announceAll };
}

function vouchedAddress({ email, isEmailVerified }: OutsideAccount): Address {
  const detail = 'The provider does not say that the address is verified, so it proves nothing here.';
  if (email === undefined || !isEmailVerified) throw emailUnverified({ detail });
  return readEmail(email);
}

async function joinOwner(world: FindWorld, tx: Transaction, { id }: User) {
  return claimAddress(world, tx, enabled(await lockUser(tx, id)));
}

/** Undefined where the address has become somebody's meanwhile. */
async function makeUser(
  world: FindWorld,
  tx: Transaction,
  { tenantId, account, address, ip }: { tenantId: string; account: OutsideAccount; address: Address; ip: string },
): Promise<User | undefined> {
  if (world.registration === 'closed') {
    throw registrationClosed({ detail: 'Ask whoever runs this service for an account.' });
  }
  const name = whereUsable(account.name, readName);
  const profileImageUrl = whereUsable(account.picture, readProfileImageUrl);
  const user = await insertUser(tx, {
    id: newId(),
    tenantId,
    ...address,
    ...(name === undefined ? {} : { name }),
    ...(profileImageUrl === undefined ? {} : { profileImageUrl }),
    isVerified: true,
  });
  if (!user) return undefined;
  const { id: userId } = user;
  await recordAudit(tx, { tenantId, type: 'user.registered', actor: `user:${userId}`, userId, ip });
  return user;
}

function enabled(user: User | undefined): User {
  if (!user || user.disabledAt !== null) throw invalidCredentials();
  return user;
}

/** A name or picture that cannot be one here is no reason to refuse anybody. */
function whereUsable(text: string | undefined, read: (text: string) => string): string | undefined {
  try {
    return text === undefined ? undefined : read(text);
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}
