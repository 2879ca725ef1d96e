import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { lockUser } from '../users/store.ts';
import { identityNotFound, lastWayIn } from './errors.ts';
import { identitiesOf, removeIdentity } from './store.ts';

/**
 * Takes an outside account off a user. One who could not log in any more keeps it: there has to be a password, an address
 * that one can be sent to, or another account.
 * @throws identityNotFound, lastWayIn
 */
export async function unlink(
  { db }: { db: Database },
  { id: userId, tenantId, name: actor }: Caller,
  id: string,
): Promise<void> {
  await db.begin(async (tx) => {
    const user = await lockUser(tx, userId);
    const identities = await identitiesOf(tx, userId);
    const identity = identities.find((one) => one.id === id.toLowerCase());
    if (!user || !identity) throw identityNotFound();
    if (identities.length === 1 && user.passwordHash === null && user.emailVerifiedAt === null) {
      throw lastWayIn({ detail: 'Set a password first, or verify an e-mail address.' });
    }
    await removeIdentity(tx, userId, identity.id);
    await recordAudit(tx, { tenantId, type: 'identity.unlinked', actor, userId, data: { issuer: identity.issuer } });
  });
}
