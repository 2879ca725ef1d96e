/**
 * Concurrent writers share commits: while one batch is at the disk the next gathers. There is no timer, so one caller
 * alone waits for one commit and a thousand wait for a few.
 */
import { isUnavailable } from './database.ts';

export interface GatherOptions<Item> {
  /** Batches at the disk at the same time. */
  writers: number;
  /** Items in a batch at most. */
  maxItems: number;
  /** A batch closes once the sizes of its items reach `maxSize`; one item may be larger. */
  maxSize: number;
  sizeOf: (item: Item) => number;
  /** Where batches have been at the disk for longer than this, no more items are taken in, and this is thrown (F18). */
  patience?: { milliseconds: number; exhausted: () => Error };
}

/** What is not worth two commits. */
const smallBatch = 16;

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * @param write commits the items together and returns their results in the same order
 * @returns resolves once the item's batch is committed; an item that its batch failed over is tried alone, so that one
 *   bad item fails alone, unless the database could not be reached
 */
export function gather<Item, Result>(
  write: (items: Item[]) => Promise<Result[]>,
  options: GatherOptions<Item>,
): (item: Item) => Promise<Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let isScheduled = false;
  /** The batches now at the disk: when each began, and of how many items it is. */
  const begun = new Set<{ at: number; count: number }>();

  const isHopeless = () => {
    if (!options.patience || begun.size < options.writers) return false;
    const latest = Math.max(...[...begun].map(({ at }) => at));
    return performance.now() - latest > options.patience.milliseconds;
  };
  // Where one writer took all there is, the others had nothing to do until it came back.
  const fairShare = () => {
    let inAll = waiting.length;
    for (const { count } of begun) inAll += count;
    return Math.max(smallBatch, Math.ceil(inAll / options.writers));
  };
  const schedule = () => {
    if (isScheduled || begun.size >= options.writers || waiting.length === 0) return;
    isScheduled = true;
    // After the sockets of this turn have been read, so that what arrived together is written together.
    setImmediate(() => {
      isScheduled = false;
      const count = Math.min(countBatch(waiting, options), fairShare());
      const batch = waiting.slice(0, count);
      waiting = waiting.slice(count);
      const beginning = { at: performance.now(), count };
      begun.add(beginning);
      void writeBatch(write, batch).finally(() => {
        begun.delete(beginning);
        schedule();
      });
      schedule();
    });
  };

  return (item) =>
    new Promise((resolve, reject) => {
      if (options.patience && isHopeless()) return reject(options.patience.exhausted());
      waiting.push({ item, resolve, reject });
      schedule();
    });
}

function countBatch<Item>(waiting: { item: Item }[], { maxItems, maxSize, sizeOf }: GatherOptions<Item>): number {
  let size = 0;
  let count = 0;
  for (const { item } of waiting) {
    size += sizeOf(item);
    if (count > 0 && (count === maxItems || size > maxSize)) break;
    count++;
  }
  return count;
}

async function writeBatch<Item, Result>(
  write: (items: Item[]) => Promise<Result[]>,
  batch: Waiting<Item, Result>[],
): Promise<void> {
  try {
    const results = await write(batch.map(({ item }) => item));
    for (const [index, { resolve, reject }] of batch.entries()) {
      const result = results[index];
      if (result === undefined) reject(new Error('A gathered write returned too few results.'));
      else resolve(result);
    }
  } catch (error) {
    if (batch.length === 1 || isUnavailable(error)) {
      for (const { reject } of batch) reject(error);
    } else {
      for (const one of batch) await writeBatch(write, [one]);
    }
  }
}
