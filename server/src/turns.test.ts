import assert from 'node:assert/strict';
import { it } from 'node:test';
import { takeTurns } from './turns.ts';

it('lets so many run at once, the others in the order of asking', async () => {
  const inTurn = takeTurns(2, 60_000, () => new Error('no room'));
  const ends: (() => void)[] = [];
  const begun: number[] = [];
  const work = (i: number) =>
    inTurn(() => {
      begun.push(i);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  const all = [1, 2, 3, 4].map(work);
  await new Promise(setImmediate);
  assert.deepEqual(begun, [1, 2]);
  for (let i = 0; i < 4; i++) {
    ends[i]?.();
    await all[i];
  }
  assert.deepEqual(begun, [1, 2, 3, 4]);
});

it('refuses who would wait too long', async () => {
  const inTurn = takeTurns(1, 20, () => new Error('no room'));
  let end = () => {};
  const first = inTurn(() => new Promise<void>((resolve) => (end = resolve)));
  await assert.rejects(
    inTurn(async () => {}),
    /no room/,
  );
  end();
  await first;
  assert.equal(await inTurn(async () => 'again'), 'again');
});

it('goes on after work that failed', async () => {
  const inTurn = takeTurns(1, 60_000, () => new Error('no room'));
  await assert.rejects(
    inTurn(() => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await inTurn(async () => 'next'), 'next');
});
