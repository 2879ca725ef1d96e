import type { Queryable } from '../database/database.ts';

/** Nobody's address: RFC 2606 keeps `.invalid` unused. */
const nobody = 'deleted@deleted.invalid';

/**
 * Takes a person out of a tenant's mail history: Postern's letters about the user, and letters of others to the address.
 * Unsent ones are canceled first, for there will be nobody to send them to; a worker that holds one has lost its lease
 * with the queue row. Letters to several recipients lose this one, and go on to the others.
 */
export async function anonymizeEmails(
  db: Queryable,
  { tenantId, userId, address }: { tenantId: string; userId: string; address?: string },
): Promise<void> {
  const erased = await eraseRecipients(db, { tenantId, userId, address });
  if (erased.length === 0) return;
  const alone = await cancelUnsent(db, erased);
  await scrub(db, erased, alone);
}
