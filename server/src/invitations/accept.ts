import { recordAudit } from '../audit/record.ts';
import { linkExpired } from '../challenges/errors.ts';
import { checkLink, redeemLinkOfNobody } from '../challenges/redeem.ts';
import type { ProvenAddress } from '../challenges/store.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import { grantRemaining } from '../roles/grant-role.ts';
import { claimAddress } from '../users/claim-user.ts';
import type { EndSessions } from '../users/delete-user.ts';
import { alreadyRegistered } from '../users/errors.ts';
import type { SettingPasswords } from '../users/register.ts';
import { findUserByEmail, insertUser, lockUser, setPassword } from '../users/store.ts';
import type { User } from '../users/user.ts';
import type { Invitation } from './invitation.ts';
import { endInvitation, lockInvitation } from './store.ts';

export interface AcceptWorld extends SettingPasswords {
  db: Database;
  secrets: Secrets;
  endSessions: EndSessions;
}

interface Acceptance {
  password: string;
  name: string | undefined;
  ip: string;
}

/**
 * Makes the account that somebody was invited to have, its address verified: whoever has the link has the mailbox.
 *
 * @param open what else is to happen in the transaction, e.g. logging in
 * @throws linkInvalid, linkExpired, alreadyRegistered, invalidRequest, commonPassword, tooManyRoles, busy
 */
export async function acceptInvitation<T>(
  world: AcceptWorld,
  { token, ...acceptance }: Acceptance & { token: string },
  open: (tx: Transaction, user: User) => Promise<T>,
): Promise<{ user: User; opened: T }> {
  const link = { purpose: 'accept_invitation', token } as const;
  // Hashing is dear: only for who has a letter.
  await checkLink(world, link);
  await world.passwordPolicy.check(acceptance.password);
  const passwordHash = await world.passwords.hash(acceptance.password);
  const { user, opened, announce } = await redeemLinkOfNobody(world, link, async (tx, proven) => {
    const done = await complete(world, tx, proven, { ...acceptance, passwordHash });
    return { ...done, opened: await open(tx, done.user) };
  });
  announce();
  return { user, opened };
}

/** In the transaction that uses the challenge up. */
async function complete(
  world: AcceptWorld,
  tx: Transaction,
  { challengeId }: ProvenAddress,
  acceptance: Acceptance & { passwordHash: string },
): Promise<{ user: User; announce: () => void }> {
  const invitation = await lockInvitation(tx, { challengeId });
  if (invitation?.status !== 'pending') throw linkExpired({ detail: 'The invitation was taken back.' });
  const made = await makeUser(tx, invitation, acceptance);
  const { user, announce } = made
    ? { user: made, announce: () => {} }
    : await takeOver(world, tx, invitation, acceptance);
  const { id: userId, tenantId } = user;
  await grantRemaining(tx, { userId, tenantId, actor: invitation.invitedBy }, invitation.roles);
  await endInvitation(tx, invitation.id, { status: 'accepted', userId });
  const event = { tenantId, userId, actor: `user:${userId}`, ip: acceptance.ip };
  if (made) await recordAudit(tx, { ...event, type: 'user.registered' });
  await recordAudit(tx, { ...event, type: 'user.invitation_accepted', data: { invitation: invitation.id } });
  return { user, announce };
}

/** Undefined where the address has become somebody's meanwhile. */
function makeUser(
  tx: Transaction,
  { tenantId, email, emailNormalized, name: givenName }: Invitation,
  { passwordHash, name = givenName ?? undefined }: { passwordHash: string; name: string | undefined },
): Promise<User | undefined> {
  const account = { id: newId(), tenantId, email, emailNormalized, passwordHash, isVerified: true };
  return insertUser(tx, { ...account, ...(name === undefined ? {} : { name }) });
}

/**
 * Somebody has registered with the address since. Where they never showed that it is theirs, the account goes to whoever
 * has the mailbox, without what was set up there (S37). One that is verified, or disabled, an invitation does not touch.
 */
async function takeOver(
  world: AcceptWorld,
  tx: Transaction,
  { tenantId, emailNormalized, name: givenName }: Invitation,
  { passwordHash, name }: Acceptance & { passwordHash: string },
): Promise<{ user: User; announce: () => void }> {
  const found = await findUserByEmail(tx, tenantId, emailNormalized);
  const owner = found && (await lockUser(tx, found.id));
  // Gone or renamed in this very moment: the link is as good as before for the next try.
  if (owner?.emailNormalized !== emailNormalized || owner.emailVerifiedAt !== null || owner.disabledAt !== null) {
    throw alreadyRegistered({ detail: 'This address has an account by now: log in, or set a new password.' });
  }
  const { announce } = await claimAddress(world, tx, owner);
  const given = { emailNormalized, passwordHash, name: name ?? givenName ?? undefined };
  const user = await setPassword(tx, owner.id, given);
  if (!user) throw new Error('A user who is locked is gone.');
  return { user, announce };
}
