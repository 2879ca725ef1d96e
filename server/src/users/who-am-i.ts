import type { Cache } from '../cache.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { findUser } from './create-user.ts';
import type { UserAnswer } from './schemas.ts';
import { presentUser } from './user.ts';

/** After a change that nobody told the cache of, as when Redis was away just then, it may be seen for so long. */
const keptSeconds = 10;

const nameOf = (id: string) => `user:${id}`;

/**
 * What callers are told of themselves, the one thing of a user that applications ask for again and again.
 * @throws userNotFound
 */
export async function whoAmI(
  { db, cache, tenantSlug }: { db: Database; cache: Cache; tenantSlug: TenantDirectory['tenantSlug'] },
  { tenantId, id }: Caller,
): Promise<UserAnswer> {
  return cache.through(nameOf(id), async () => ({
    value: presentUser(await findUser(db, tenantId, { id }), await tenantSlug(tenantId)),
    seconds: keptSeconds,
  }));
}

/** To be called after the commit of whatever changes what users are told of themselves. */
export type ForgetUser = (id: string) => Promise<void>;

export function makeForgetUser(cache: Cache): ForgetUser {
  return (id) => cache.forget(nameOf(id));
}
