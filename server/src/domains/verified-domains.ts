import type { Database } from '../database/database.ts';
import { verifiedDomains } from './store.ts';

export interface VerifiedDomains {
  of: (tenantId: string) => Promise<ReadonlySet<string>>;
  /** Has the next question read the database: to be called where the answer has just changed. */
  forget: (tenantId: string) => void;
}

/** How long an answer serves; other nodes learn so late of a change. */
const freshMilliseconds = 1_000;
const maxTenants = 10_000;

/** The domains each tenant has proved to own, read at most once a second. */
export function rememberVerifiedDomains(db: Database): VerifiedDomains {
  const known = new Map<string, { domains: Promise<ReadonlySet<string>>; until: number }>();
  return {
    of: (tenantId) => {
      const found = known.get(tenantId);
      if (found && found.until > performance.now()) return found.domains;
      const domains = verifiedDomains(db, tenantId).then((list) => new Set(list));
      if (known.size >= maxTenants) known.clear();
      known.set(tenantId, { domains, until: performance.now() + freshMilliseconds });
      domains.catch(() => known.delete(tenantId));
      return domains;
    },
    forget: (tenantId) => known.delete(tenantId),
  };
}
