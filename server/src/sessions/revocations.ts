/**
 * What every node must refuse although its signature is good. The table is the truth; each node keeps the live ones in
 * memory, so that checking a token asks no database.
 *
 * Nodes poll, four times a second, instead of listening (LISTEN/NOTIFY): one indexed read of nothing costs next to
 * nothing, staleness is then a measured fact instead of trust in a quiet connection, and after a cut there is nothing
 * special to do. Each poll looks 30 s further back than the last one, because a transaction that began earlier may have
 * committed since. When the last good poll is older than a second, checks ask the database, and fail closed without it.
 * Where nodes have a channel (Redis), whoever revokes says so there as well, and the others need not wait for their next
 * poll. They poll no more rarely for it: what a channel loses it does not tell.
 */
import type { FastifyBaseLogger } from 'fastify';
import type { Database, Queryable } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import { cannotTell } from './errors.ts';
import { insertRevocations, purgeRevocations, revocationsSince, whichRevoked } from './store.ts';

/** Words to the other nodes, which may be lost; what others than they say there is not heard. */
export interface Channel {
  publish: (words: readonly string[]) => void;
  subscribe: (onWords: (words: string[]) => void) => void;
}

export interface Revocations {
  /**
   * Revokes in the caller's transaction.
   * @param subjects session ids, token ids (jti), user or client ids (sub)
   * @returns what to call after the commit, so that no node need wait for its next poll
   */
  revoke: (db: Queryable, subjects: readonly string[]) => Promise<() => void>;
  /** @throws cannotTell when neither memory nor database can say */
  isRevoked: (subjects: readonly string[]) => Promise<boolean>;
  stop: () => void;
}

const pollMs = 250;
const freshMs = 1_000;
const overlapSeconds = 30;
const purgeMs = 600_000;

/** Revocations are kept for as long as a token can live, and a little for clocks that differ. */
export function revocationSeconds(accessTokenSeconds: number): number {
  // Not less than the default: the setting may have been longer before this start.
  return Math.max(accessTokenSeconds, 3_600) + 120;
}

/** Reads all that live, then follows. */
export async function startRevocations({
  db,
  log,
  accessTokenSeconds,
  channel,
}: {
  db: Database;
  log: FastifyBaseLogger;
  accessTokenSeconds: number;
  channel?: Channel | undefined;
}): Promise<Revocations> {
  const live = new Map<string, number>();
  const seconds = revocationSeconds(accessTokenSeconds);
  let since: string | undefined;
  let goodAt = 0;
  let failing = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const add = (subjects: readonly string[]) => {
    for (const subject of subjects) live.set(subject, Date.now() + seconds * 1_000);
  };
  const read = async () => {
    const startedAt = performance.now();
    const { readAt, revocations } = await revocationsSince(db, since, overlapSeconds);
    for (const { subject, expiresAt } of revocations) live.set(subject, expiresAt);
    since = readAt;
    // Measured from before the question: the answer is as old as that.
    goodAt = startedAt;
  };
  const poll = async () => {
    try {
      await read();
      if (failing) log.info('revocations are followed again');
      failing = false;
    } catch (error) {
      if (!failing && !stopped)
        log.error({ err: error }, 'revocations cannot be read; each token is checked in the database');
      failing = true;
    }
    if (!stopped) timer = setTimeout(poll, pollMs).unref();
  };
  const forgetExpired = async () => {
    for (const [subject, expiresAt] of live) if (expiresAt < Date.now()) live.delete(subject);
    await purgeRevocations(db).catch((error: unknown) => log.warn({ err: error }, 'could not purge revocations'));
  };

  // Asked together: a database that answers late is asked seldom, or the requests would wait for its connections (F18).
  const ask = gather<readonly string[], boolean>(
    async (questions) => {
      const revoked = new Set(await whichRevoked(db, questions.flat()));
      return questions.map((subjects) => subjects.some((subject) => revoked.has(subject)));
    },
    { writers: 2, maxItems: 1_000, maxSize: 1_000, sizeOf: () => 1 },
  );

  channel?.subscribe(add);
  await read();
  timer = setTimeout(poll, pollMs).unref();
  const purging = setInterval(forgetExpired, purgeMs).unref();

  return {
    revoke: async (tx, subjects) => {
      await insertRevocations(tx, subjects, seconds);
      return () => {
        add(subjects);
        if (subjects.length > 0) channel?.publish(subjects);
      };
    },
    isRevoked: async (subjects) => {
      if (subjects.some((subject) => live.has(subject))) return true;
      if (performance.now() - goodAt < freshMs) return false;
      try {
        return await ask(subjects);
      } catch (error) {
        throw cannotTell({ detail: 'Try again in a moment.', retryAfterSeconds: 1, cause: error });
      }
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      clearInterval(purging);
    },
  };
}
