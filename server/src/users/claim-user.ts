import { recordAudit } from '../audit/record.ts';
import { endChallenges } from '../challenges/store.ts';
import type { Transaction } from '../database/database.ts';
import type { EndSessions } from './delete-user.ts';
import { dropEmailChange } from './email-change-store.ts';
import { claimUser } from './store.ts';
import type { User } from './user.ts';

/**
 * Takes the address of a user who is locked as shown by its owner, in the caller's transaction. Whoever set a password for
 * it before, without ever showing that it is theirs, may be a stranger: what they set up ends (S37).
 * @returns the user as it is then; `announce` is to be called after the commit
 */
export async function claimAddress(
  { endSessions }: { endSessions: EndSessions },
  tx: Transaction,
  user: User,
): Promise<{ user: User; announce: () => void }> {
  if (user.emailVerifiedAt !== null) return { user, announce: () => {} };
  const { id: userId, tenantId } = user;
  await endChallenges(tx, userId);
  await dropEmailChange(tx, userId);
  const announce = await endSessions(tx, userId);
  const claimed = await claimUser(tx, userId);
  if (!claimed) throw new Error('A user who is locked is gone.');
  await recordAudit(tx, { tenantId, type: 'user.verified', actor: `user:${userId}`, userId });
  return { user: claimed, announce };
}
