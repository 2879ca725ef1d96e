/** Inviting somebody, sending the letter again, and taking the invitation back. */
import { recordAudit } from '../audit/record.ts';
import { tooManyLetters } from '../challenges/errors.ts';
import { type IssuedChallenge, issueChallenge } from '../challenges/issue.ts';
import { invitationLetter } from '../challenges/mails.ts';
import { endChallenge } from '../challenges/store.ts';
import { newId } from '../crypto/ids.ts';
import type { Database, Transaction } from '../database/database.ts';
import { missingRoles } from '../roles/grant-role.ts';
import { alreadyRegistered } from '../users/errors.ts';
import { findUserByEmail } from '../users/store.ts';
import { type Address, invalidField } from '../users/user.ts';
import type { LetterWorld } from '../users/verify-email.ts';
import { alreadyInvited, invitationEnded, invitationNotFound } from './errors.ts';
import type { Invitation } from './invitation.ts';
import { endInvitation, findInvitation, insertInvitation, lockInvitation, renewInvitation } from './store.ts';

export interface InviteWorld extends LetterWorld {
  invitationSeconds: number;
}

/**
 * Invites the owner of an address, in the caller's transaction.
 * @throws invalidRequest, alreadyRegistered, alreadyInvited, tooManyLetters
 */
export async function invite(
  world: InviteWorld,
  tx: Transaction,
  { name, ...invited }: Address & { tenantId: string; name: string | undefined; roles: string[]; invitedBy: string },
): Promise<Invitation> {
  const { tenantId, emailNormalized, roles, invitedBy: actor } = invited;
  const missing = await missingRoles(tx, tenantId, roles);
  if (missing !== undefined) throw invalidField('roles', `there is no role "${missing}"`);
  if (await findUserByEmail(tx, tenantId, emailNormalized)) {
    const message = 'this address has an account already';
    throw alreadyRegistered({ detail: `email: ${message}.`, errors: [{ path: 'email', message }] });
  }
  const challenge = await writeLetter(world, tx, invited);
  const { id: challengeId, linkExpiresAt: expiresAt } = challenge;
  const made = await insertInvitation(tx, { ...invited, id: newId(), name: name ?? null, challengeId, expiresAt });
  if (!made) throw alreadyInvited({ detail: 'Send that invitation again, or revoke it.' });
  await recordAudit(tx, { tenantId, type: 'user.invited', actor, data: { invitation: made.id } });
  return made;
}

/**
 * Sends a new letter, in the caller's transaction; the link of the one before it is dead.
 * @throws invitationNotFound, invitationEnded, alreadyRegistered, tooManyLetters
 */
export async function resendInvitation(
  world: InviteWorld,
  tx: Transaction,
  { tenantId, id, actor }: { tenantId: string; id: string; actor: string },
): Promise<Invitation> {
  const invitation = await findInvitation(tx, tenantId, id);
  if (!invitation) throw invitationNotFound();
  // Who has an account that is not verified may still accept: it becomes theirs.
  if ((await findUserByEmail(tx, tenantId, invitation.emailNormalized))?.emailVerifiedAt) {
    throw alreadyRegistered({ detail: 'This address has an account by now.' });
  }
  const challenge = await writeLetter(world, tx, invitation);
  const { id: challengeId, linkExpiresAt: expiresAt } = challenge;
  const renewed = await renewInvitation(tx, id, { challengeId, expiresAt });
  if (!renewed) throw ended(invitation);
  await recordAudit(tx, { tenantId, type: 'user.invitation_resent', actor, data: { invitation: id } });
  return renewed;
}

/**
 * Takes an invitation back: its link is dead at once. One that is revoked already stays so.
 * @throws invitationNotFound, invitationEnded where it was accepted
 */
export async function revokeInvitation(
  { db }: { db: Database },
  { tenantId, id, actor }: { tenantId: string; id: string; actor: string },
): Promise<void> {
  await db.begin(async (tx) => {
    const found = await findInvitation(tx, tenantId, id);
    if (!found) throw invitationNotFound();
    // Before the invitation, as whoever accepts or sends again comes to the two.
    await endChallenge(tx, found.challengeId);
    const invitation = await lockInvitation(tx, { id });
    if (!invitation) throw invitationNotFound();
    if (invitation.status === 'accepted') throw ended(invitation);
    if (invitation.status === 'revoked') return;
    await endInvitation(tx, id, { status: 'revoked' });
    await recordAudit(tx, { tenantId, type: 'user.invitation_revoked', actor, data: { invitation: id } });
  });
}

async function writeLetter(
  { invitationSeconds, ...letters }: InviteWorld,
  tx: Transaction,
  { tenantId, email, emailNormalized }: Address & { tenantId: string },
): Promise<IssuedChallenge> {
  const world = { ...letters, verifyLinkSeconds: invitationSeconds };
  const about = { tenantId, userId: undefined, purpose: 'accept_invitation', emailNormalized } as const;
  const challenge = await issueChallenge(world, tx, about);
  if (!challenge) {
    throw tooManyLetters({ detail: 'This address has had its letters for now. Try later.', retryAfterSeconds: 3_600 });
  }
  await world.submitEmails(tx, [await invitationLetter(world, tx, { tenantId, address: email }, challenge)]);
  return challenge;
}

function ended({ status }: Invitation) {
  const how = status === 'accepted' ? 'accepted' : status === 'revoked' ? 'revoked' : 'replaced by another';
  return invitationEnded({ detail: `It was ${how}.` });
}
