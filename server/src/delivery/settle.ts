/**
 * Writes outcomes down: into the journal at once, then into the database, many in one statement. Waits for a database
 * that is away; what has to be left to the journal in the end, the next worker replays.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Database, isDeadlock, isUnavailable } from '../database/database.ts';
import type { Journal } from './journal.ts';
import { outcomeKey, type Settlement, writeSettlements } from './store.ts';

export interface SettlerParts {
  db: Database;
  journal: Journal;
  log: Logger;
  /** Whether more outcomes are about to come. */
  isBusy: () => boolean;
}

const batchSize = 1_000;
/** More than this many outcomes wait for a statement only where the database falls behind. */
const maxWaiting = 4 * batchSize;
/** Planning the statement costs as much as writing forty outcomes with it, so under load a batch is waited for. */
const worthwhileSize = 250;
const gatherMilliseconds = 20;
const retryMilliseconds = 200;

export class Settler {
  readonly #parts: SettlerParts;
  #waiting: Settlement[] = [];
  #writing: Promise<void> | undefined;
  #isStuck = false;
  #isGivenUp = false;

  constructor(parts: SettlerParts) {
    this.#parts = parts;
  }

  settle(settlement: Settlement): void {
    this.#parts.journal.append(settlement);
    this.#waiting.push(settlement);
    this.#writing ??= this.#writeAll();
  }

  /** Whether outcomes can be recorded right now; no delivery should start where they cannot. */
  canTake(): boolean {
    return !this.#isStuck && this.#waiting.length < maxWaiting && !this.#parts.journal.isBroken();
  }

  /** Resolves when all is written, or left to the journal because the database did not take it within `patience` ms. */
  async finish(patience: number): Promise<void> {
    await Promise.race([this.#writing, sleep(patience, undefined, { ref: false })]);
    this.#isGivenUp = true;
    if (this.#waiting.length > 0) {
      const { log } = this.#parts;
      log.warn({ outcomes: this.#waiting.length }, 'outcomes stay in the journal; the next start writes them');
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isGivenUp) {
      if (this.#waiting.length < worthwhileSize && this.#parts.isBusy()) await sleep(gatherMilliseconds);
      const batch = this.#waiting.slice(0, batchSize);
      await this.#parts.journal.flush();
      if (!(await this.#write(batch))) continue;
      this.#waiting.splice(0, batch.length);
      this.#parts.journal.done(batch.length);
    }
    this.#writing = undefined;
  }

  /** Returns whether the database has them. */
  async #write(batch: Settlement[]): Promise<boolean> {
    const { log } = this.#parts;
    try {
      const emails = await writeOutcomes(this.#parts, batch);
      if (emails.length > 0) log.warn({ emails }, 'outcomes came after the lease and were not written');
      if (this.#isStuck) log.info('outcomes are written again');
      this.#isStuck = false;
      return true;
    } catch (error) {
      if (!this.#isStuck) log.warn({ err: error }, 'outcomes cannot be written; deliveries wait');
      this.#isStuck = true;
      await sleep(retryMilliseconds);
      return false;
    }
  }
}

/**
 * Writes outcomes, each alone where they cannot be written together, so that a bad one fails alone.
 * @returns ids of the letters whose outcome is not this worker's to write: they were settled, or another has them
 * @throws where the database is away
 */
export async function writeOutcomes(
  { db, log }: { db: Database; log: Logger },
  settlements: Settlement[],
): Promise<string[]> {
  try {
    const written = await writeSettlements(db, settlements);
    const letters = settlements.map(({ letter }) => letter);
    return letters.filter((one) => !written.has(outcomeKey(one.id, one.lease_token))).map(({ id }) => id);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    // Whoever erases a person's letters holds some of them and waits for others.
    if (isDeadlock(error)) return writeOutcomes({ db, log }, settlements);
    const [only, ...more] = settlements;
    if (only && more.length === 0) {
      const { id, status } = only.letter;
      log.error({ err: error, email: id, status }, 'an outcome could not be written; its lease will run out');
      return [];
    }
    const refused: string[] = [];
    for (const one of settlements) refused.push(...(await writeOutcomes({ db, log }, [one])));
    return refused;
  }
}
