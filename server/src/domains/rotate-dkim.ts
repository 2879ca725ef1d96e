import { recordAudit } from '../audit/record.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { newDkimKeys } from './dkim-key.ts';
import type { Domain, DomainKey } from './domain.ts';
import { domainNotFound } from './errors.ts';
import { deleteOldKeys, findDomain, insertDkimKeys, lockDomain } from './store.ts';

/**
 * Makes the next keys. They sign once their records were seen, and the former ones until then; so to ask again before
 * that changes nothing.
 * @throws domainNotFound
 */
export async function rotateDkim(
  { db, secrets }: { db: Database; secrets: Secrets },
  { tenantId, actor, id }: { tenantId: string; actor: string; id: string },
): Promise<Domain> {
  const keys = await newDkimKeys(secrets);
  return db.begin(async (tx) => {
    const before = await lockDomain(tx, tenantId, id);
    if (!before) throw domainNotFound();
    if (!before.keys.some(isWaiting)) {
      await insertDkimKeys(tx, id, keys);
      await deleteOldKeys(tx, id);
      await recordAudit(tx, { tenantId, type: 'domain.dkim_rotated', actor, data: { domain: id } });
    }
    const after = await findDomain(tx, tenantId, id);
    if (!after) throw domainNotFound();
    return after;
  });
}

function isWaiting({ publishedAt, retiredAt }: DomainKey): boolean {
  return publishedAt === null && retiredAt === null;
}
