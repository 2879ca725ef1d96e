import { randomBytes } from 'node:crypto';
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { newDkimKeys } from './dkim-key.ts';
import type { Domain } from './domain.ts';
import { domainExists } from './errors.ts';
import { findDomain, insertDkimKeys, insertDomain } from './store.ts';

/**
 * Takes a domain up: with a token to prove it by, and its first keys.
 * @throws domainExists
 */
export async function createDomain(
  { db, secrets }: { db: Database; secrets: Secrets },
  { tenantId, actor, domain }: { tenantId: string; actor: string; domain: string },
): Promise<Domain> {
  const keys = await newDkimKeys(secrets);
  return db.begin(async (tx) => {
    const id = newId();
    const token = randomBytes(24).toString('base64url');
    if (!(await insertDomain(tx, { id, tenantId, domain, token }))) {
      throw domainExists({ detail: `The domain ${domain} is there already; GET /domains lists it.` });
    }
    await insertDkimKeys(tx, id, keys);
    await recordAudit(tx, { tenantId, type: 'domain.created', actor, data: { domain: id } });
    const made = await findDomain(tx, tenantId, id);
    if (!made) throw new Error('A domain was not found in the transaction that wrote it.');
    return made;
  });
}
