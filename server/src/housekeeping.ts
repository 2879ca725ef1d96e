/** What has to be done now and then: coming months' partitions, and rows that no longer count for anything. */
import type { Logger } from 'pino';
import { purgeChallenges } from './challenges/store.ts';
import { purgeUsedOnce } from './crypto/used-once.ts';
import { isUnavailable } from './database/database.ts';
import { createPartitions } from './database/migrate.ts';
import { foldCounters } from './emails/counters.ts';
import { purgeIdempotencyKeys } from './http/idempotency.ts';
import { purgeSignIns } from './identities/store.ts';
import { purgeInvitations } from './invitations/store.ts';
import { purgeLimits } from './limits/postgres.ts';
import { purgeArtifacts } from './oauth/artifact-store.ts';
import { purgeGrants } from './oauth/grant-store.ts';
import { purgeSecondFactors } from './second-factors/store.ts';
import { purgeSignInsBegun } from './sessions/sign-in-store.ts';
import { purgeSessions } from './sessions/store.ts';
import { keepSigningKeys } from './signing-keys/keep-keys.ts';
import { purgeEmailChanges } from './users/email-change-store.ts';
import { purgeWebhookHistory } from './webhooks/purge.ts';

const everyMs = 3_600_000;
const tasks = [
  createPartitions,
  purgeChallenges,
  purgeEmailChanges,
  purgeInvitations,
  purgeSessions,
  purgeSignInsBegun,
  purgeSecondFactors,
  purgeArtifacts,
  purgeGrants,
  purgeIdempotencyKeys,
  purgeLimits,
  purgeUsedOnce,
  purgeSignIns,
  foldCounters,
  purgeWebhookHistory,
];

/** Every node does it; twice does no harm. Returns how to stop. */
export function keepHouse(world: Parameters<typeof keepSigningKeys>[0] & { log: Logger }): () => Promise<void> {
  const round = async () => {
    for (const task of [...tasks, () => keepSigningKeys(world)]) {
      try {
        await task(world.db);
      } catch (error) {
        if (!isUnavailable(error)) world.log.error({ err: error }, 'housekeeping failed; it is tried again in an hour');
      }
    }
  };
  const timer = setInterval(round, everyMs).unref();
  return async () => clearInterval(timer);
}
