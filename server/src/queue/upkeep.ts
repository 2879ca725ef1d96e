import type { Logger } from 'pino';
import { type Database, isUnavailable } from '../database/database.ts';

/** Measured: so many dead entries add about as much to a claim as ten letters do. */
const defaultEvery = 50_000;
/** Of the time at most. */
const dutyShare = 1 / 20;

/**
 * Clears away what letters leave behind in the queue's indexes. Each that is taken moves and each that ends goes, both
 * from the very place where the next claim begins to look, and the dead entries stand there until a VACUUM; autovacuum
 * looks once a minute, in which a busy worker leaves half a million. So whoever takes many asks for it. It blocks
 * nobody: TRUNCATE, the step that would lock the table, is left out.
 */
export class Upkeep {
  readonly #db: Database;
  readonly #log: Logger;
  readonly #every: number;
  #taken = 0;
  #notBefore = 0;
  #running: Promise<void> | undefined;

  constructor({ db, log, every = defaultEvery }: { db: Database; log: Logger; every?: number }) {
    this.#db = db;
    this.#log = log;
    this.#every = every;
  }

  /** To be told of all letters taken. */
  note(taken: number): void {
    this.#taken += taken;
    if (this.#taken < this.#every || this.#running || performance.now() < this.#notBefore) return;
    this.#taken = 0;
    this.#running = this.#vacuum().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves once nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #vacuum(): Promise<void> {
    const startedAt = performance.now();
    try {
      await this.#db.unsafe('VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF, PARALLEL 0) email_queue');
    } catch (error) {
      if (!isUnavailable(error))
        this.#log.warn({ err: error }, 'the queue could not be vacuumed; claims may slow down');
    }
    const now = performance.now();
    this.#notBefore = now + (now - startedAt) / dutyShare;
  }
}
