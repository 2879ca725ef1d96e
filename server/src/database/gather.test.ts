import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gather } from './gather.ts';

const options = { writers: 1, maxItems: 100, maxSize: 1_000, sizeOf: (item: number) => item };

describe('gathered writes', () => {
  it('take what came meanwhile as the next batch, and answer each item with its own result', async () => {
    const batches: number[][] = [];
    let release = () => {};
    const add = gather(async (items: number[]) => {
      batches.push(items);
      if (batches.length === 1) await new Promise<void>((resolve) => (release = resolve));
      return items.map((item) => item * 2);
    }, options);
    const first = add(1);
    await new Promise(setImmediate);
    const rest = [add(2), add(3), add(4)];
    await new Promise(setImmediate);
    release();
    assert.deepEqual(await Promise.all([first, ...rest]), [2, 4, 6, 8]);
    assert.deepEqual(batches, [[1], [2, 3, 4]]);
  });

  it('are bounded in number and size; one item may be larger', async () => {
    const batches: number[][] = [];
    const add = gather(
      async (items: number[]) => {
        batches.push(items);
        return items;
      },
      { ...options, maxItems: 2 },
    );
    await Promise.all([1, 2, 3, 5_000, 4, 999].map(add));
    assert.deepEqual(batches, [[1, 2], [3], [5_000], [4], [999]]);
  });

  it('fail for the bad item alone', async () => {
    const add = gather(async (items: number[]) => {
      if (items.includes(13)) throw new Error('unlucky');
      return items;
    }, options);
    const outcomes = await Promise.allSettled([1, 13, 2].map(add));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
  });

  it('fail together when the database is away, without trying each', async () => {
    let writes = 0;
    const add = gather(async (): Promise<number[]> => {
      writes++;
      throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' });
    }, options);
    const outcomes = await Promise.allSettled([1, 2, 3].map(add));
    assert.ok(outcomes.every(({ status }) => status === 'rejected'));
    assert.equal(writes, 1);
  });

  it('are refused at once while the disk has kept every batch for too long (F18)', async () => {
    const ends: (() => void)[] = [];
    const add = gather((items: number[]) => new Promise<number[]>((resolve) => ends.push(() => resolve(items))), {
      ...options,
      writers: 1,
      patience: { milliseconds: -1, exhausted: () => new Error('too slow') },
    });
    const first = add(1);
    await new Promise(setImmediate);
    await assert.rejects(add(2), /too slow/);
    ends[0]?.();
    assert.equal(await first, 1);
    await new Promise(setImmediate);
    const later = add(3);
    await new Promise(setImmediate);
    ends[1]?.();
    assert.equal(await later, 3);
  });
});
