import type { Cache } from '../cache.ts';
import type { Database } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import type { Caller } from '../http/caller.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import { userNotFound } from './errors.ts';
import type { UserAnswer } from './schemas.ts';
import { profilesOf } from './store.ts';
import { type Profile, presentUser } from './user.ts';

/** After a change that nobody told the cache of, as when Redis was away just then, it may be seen for so long. */
const keptSeconds = 10;

const nameOf = (id: string) => `user:${id}`;

/**
 * What callers are told of themselves, the one thing of a user that applications ask for again and again.
 * @throws userNotFound
 */
export type WhoAmI = (caller: Pick<Caller, 'tenantId' | 'id'>) => Promise<UserAnswer>;

export function makeWhoAmI({
  db,
  cache,
  tenantSlug,
}: {
  db: Database;
  cache: Cache;
  tenantSlug: TenantDirectory['tenantSlug'];
}): WhoAmI {
  // Those who ask at the same time are told by one query: as true as one for each, at a fraction of the work.
  const read = gather((ids: string[]) => readTogether(db, ids), {
    writers: 2,
    maxItems: 500,
    maxSize: 500,
    sizeOf: () => 1,
  });
  return ({ tenantId, id }) =>
    cache.through(nameOf(id), async () => {
      const { user } = await read(id);
      if (user?.tenantId !== tenantId) throw userNotFound();
      return { value: presentUser(user, await tenantSlug(tenantId)), seconds: keptSeconds };
    });
}

async function readTogether(db: Database, ids: string[]): Promise<{ user: Profile | undefined }[]> {
  const profiles = new Map((await profilesOf(db, [...new Set(ids)])).map((profile) => [profile.id, profile]));
  return ids.map((id) => ({ user: profiles.get(id) }));
}

/** To be called after the commit of whatever changes what users are told of themselves. */
export type ForgetUser = (id: string) => Promise<void>;

export function makeForgetUser(cache: Cache): ForgetUser {
  return (id) => cache.forget(nameOf(id));
}
