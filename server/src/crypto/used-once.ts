/** What may be shown once and would be good again while it lasts: proofs and assertions that somebody else has signed. */
import { createHash } from 'node:crypto';
import type { Queryable } from '../database/database.ts';

/** The key of one such thing: whose it is and what it is called there, first of all what kind it is of. */
export function onceKey(...parts: string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

/**
 * Of all who use a key, at the same time and on whichever nodes, one gets true.
 * @param seconds how long it is remembered: not shorter than it would be good for
 */
export async function useOnce(db: Queryable, key: Buffer, seconds: number): Promise<boolean> {
  const rows = await db`
    INSERT INTO used_once AS u (key, expires_at) VALUES (${key}, now() + make_interval(secs => ${seconds}))
    ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE u.expires_at < now()
    RETURNING 1`;
  return rows.length > 0;
}

export async function purgeUsedOnce(db: Queryable): Promise<void> {
  await db`DELETE FROM used_once WHERE expires_at < now()`;
}
