/** Writes outcomes down, each together with everyone else's, and waits for a database that is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Database, isUnavailable } from '../database/database.ts';
import { type Settlement, writeSettlements } from './delivery-store.ts';
import { gather } from './gather.ts';

export interface Settler {
  /** Resolves once the outcome is written, or is known to be someone else's to write. */
  settle: (settlement: Settlement) => Promise<void>;
  /** Whether outcomes cannot be recorded right now; no delivery should start meanwhile. */
  isStuck: () => boolean;
  /** Lets go of outcomes that cannot be written: the next claim of their letters repeats them. */
  giveUp: () => void;
}

export function makeSettler({ db, log }: { db: Database; log: Logger }): Settler {
  let stuck = 0;
  let isGivenUp = false;
  const write = async (settlements: Settlement[]): Promise<true[]> => {
    for (let tries = 0; ; tries++) {
      try {
        const written = await writeSettlements(db, settlements);
        if (tries > 0 && --stuck === 0) log.info('outcomes are written again');
        const refused = settlements.filter(({ letter }) => !written.has(letter.id)).map(({ letter }) => letter.id);
        if (refused.length > 0) log.warn({ emails: refused }, 'outcomes came after the lease and were not written');
        return settlements.map(() => true);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        if (tries === 0 && stuck++ === 0) log.warn({ err: error }, 'outcomes cannot be written; deliveries wait');
        if (isGivenUp) throw error;
        await sleep(200);
      }
    }
  };
  // One at a time: planning the statement costs as much as writing forty outcomes with it.
  const settle = gather(write, { writers: 1, maxItems: 1_000, maxSize: 1_000, sizeOf: () => 1 });
  return {
    settle: async (settlement) => {
      try {
        await settle(settlement);
      } catch (error) {
        log.error(
          { err: error, email: settlement.letter.id },
          'an outcome could not be written; its lease will run out',
        );
      }
    },
    isStuck: () => stuck > 0,
    giveUp: () => {
      isGivenUp = true;
    },
  };
}
