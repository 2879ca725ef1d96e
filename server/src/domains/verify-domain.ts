import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import type { Domain, Finding } from './domain.ts';
import { domainNotFound } from './errors.ts';
import { findRecord, type LookUpTxt } from './look-up.ts';
import { wantedRecords } from './records.ts';
import { findDomain, lockDomain, retireReplacedKeys, writeFindings, writePublished } from './store.ts';

/**
 * Looks at the DNS and writes down what is there: whether the domain is proved, which keys may sign, and which are
 * replaced by newer ones. A domain that was verified once stays so until it is deleted.
 * @throws domainNotFound
 */
export async function verifyDomain(
  { db, lookUpTxt }: { db: Database; lookUpTxt: LookUpTxt },
  { tenantId, actor, id }: { tenantId: string; actor: string; id: string },
): Promise<Domain> {
  const domain = await findDomain(db, tenantId, id);
  if (!domain) throw domainNotFound();
  const wanted = wantedRecords(domain);
  const findings: Record<string, Finding> = Object.fromEntries(
    await Promise.all(wanted.map(async (one) => [one.key, await findRecord(lookUpTxt, one)])),
  );
  const selectors = (...statuses: Finding['status'][]) =>
    wanted
      .filter(({ key, purpose }) => purpose === 'dkim' && statuses.includes(findings[key]?.status ?? 'unreachable'))
      .map(({ key }) => key.slice('dkim:'.length));

  return db.begin(async (tx) => {
    const before = await lockDomain(tx, tenantId, id);
    if (!before) throw domainNotFound();
    await writeFindings(tx, id, findings, findings.ownership?.status === 'ok');
    await writePublished(tx, id, { present: selectors('ok'), absent: selectors('missing', 'wrong') });
    await retireReplacedKeys(tx, id);
    const after = await findDomain(tx, tenantId, id);
    if (!after) throw domainNotFound();
    if (before.verifiedAt === null && after.verifiedAt !== null) {
      await recordAudit(tx, { tenantId, type: 'domain.verified', actor, data: { domain: id } });
    }
    return after;
  });
}
