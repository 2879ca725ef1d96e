import { createPrivateKey } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { dkimSeal } from './dkim-key.ts';
import type { DkimKey } from './dkim-sign.ts';
import { signingKeys } from './store.ts';

/** The keys that sign a letter of this tenant from this address; none where it leaves unsigned. */
export type FindDkimKeys = (tenantId: string, from: string) => Promise<DkimKey[]>;

interface Parts {
  db: Database;
  secrets: Secrets;
  /** Whoever may use this address as sender is signed for by the tenant whose domain it is. */
  mailFrom: { address: string; tenantSlug: string };
}

/** How long keys are used without asking whether they have been replaced. */
const freshMilliseconds = 2_000;
const maxDomains = 10_000;

interface Known {
  keys: Promise<DkimKey[]>;
  until: number;
}

/** Reads and opens keys once in a while; while the database is away those read last go on to serve. */
export function makeDkimKeyring({ db, secrets, mailFrom }: Parts): FindDkimKeys {
  const known = new Map<string, Known>();

  const read = async (tenantId: string, domain: string, orTenant: string | null): Promise<DkimKey[]> =>
    (await signingKeys(db, tenantId, domain, orTenant)).map(({ selector, algorithm, private_sealed: sealed }) => ({
      domain,
      selector,
      algorithm,
      privateKey: createPrivateKey({ key: secrets.open(dkimSeal, sealed), format: 'der', type: 'pkcs8' }),
    }));

  return (tenantId, from) => {
    const domain = from.slice(from.lastIndexOf('@') + 1);
    const orTenant = from === mailFrom.address ? mailFrom.tenantSlug : null;
    const name = `${tenantId} ${domain} ${orTenant ?? ''}`;
    const found = known.get(name);
    if (found && found.until > performance.now()) return found.keys;
    const keys = read(tenantId, domain, orTenant).catch((error) => {
      if (found) return found.keys;
      known.delete(name);
      throw error;
    });
    if (known.size >= maxDomains) known.clear();
    known.set(name, { keys, until: performance.now() + freshMilliseconds });
    return keys;
  };
}
