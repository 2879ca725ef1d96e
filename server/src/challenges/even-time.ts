import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than writing a letter takes. */
const evenMilliseconds = 100;

/**
 * Ends no sooner than that after it began, so that how long it took does not tell whether there was a letter to write
 * (S2). The letter is on its way meanwhile.
 */
export async function inEvenTime<T>(work: () => Promise<T>): Promise<T> {
  const even = sleep(evenMilliseconds);
  try {
    return await work();
  } finally {
    await even;
  }
}
