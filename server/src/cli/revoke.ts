import type { Config } from '../config.ts';
import type { Queryable } from '../database/database.ts';
import { revocationSeconds } from '../sessions/revocations.ts';
import { insertRevocations } from '../sessions/store.ts';

/** Revokes as a server does. Nodes that run beside a command hear of it by the table. */
export function revokeBy({ accessTokenSeconds }: Config) {
  return async (tx: Queryable, subjects: readonly string[]): Promise<() => void> => {
    await insertRevocations(tx, subjects, revocationSeconds(accessTokenSeconds));
    return () => {};
  };
}
