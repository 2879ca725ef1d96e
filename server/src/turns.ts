/** So many at once, in the order of asking; who would wait too long is told so at once. */

interface Waiting {
  start: () => void;
  since: number;
}

/**
 * @param places how many run at once
 * @param patienceMilliseconds how long one waits at most for its turn
 * @param noRoom what is thrown to whoever would wait longer
 * @returns runs `work` when its turn comes
 */
export function takeTurns(
  places: number,
  patienceMilliseconds: number,
  noRoom: () => Error,
): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting = new Set<Waiting>();
  let running = 0;
  const next = () => {
    const [first] = waiting;
    if (!first || running >= places) return;
    waiting.delete(first);
    first.start();
  };
  const turn = () =>
    new Promise<void>((resolve, reject) => {
      const [first] = waiting;
      // Whoever stands first has waited in vain for as long as newcomers would.
      if (first && performance.now() - first.since > patienceMilliseconds / 2) return reject(noRoom());
      const tooLate = setTimeout(() => {
        waiting.delete(one);
        reject(noRoom());
      }, patienceMilliseconds);
      const one: Waiting = {
        since: performance.now(),
        start: () => {
          clearTimeout(tooLate);
          running++;
          resolve();
        },
      };
      waiting.add(one);
      next();
    });
  return async (work) => {
    await turn();
    try {
      return await work();
    } finally {
      running--;
      next();
    }
  };
}
