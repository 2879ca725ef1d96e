import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from './database.ts';

describe('two transactions that wait for each other', () => {
  let db: Database;
  let close: () => Promise<void>;
  before(async () => {
    ({ db, close } = await testDatabase());
    await db`CREATE TABLE counts (id integer PRIMARY KEY, n integer NOT NULL)`;
    await db`INSERT INTO counts VALUES (1, 0), (2, 0)`;
  });
  after(() => close());

  it('are both done, one of them at the second try', async () => {
    let runs = 0;
    let begun = () => {};
    const bothHaveBegun = new Promise<void>((resolve) => {
      begun = () => runs === 2 && resolve();
    });
    const raise = (first: number, second: number) =>
      db.begin(async (tx) => {
        runs++;
        await tx`UPDATE counts SET n = n + 1 WHERE id = ${first}`;
        begun();
        await bothHaveBegun;
        await tx`UPDATE counts SET n = n + 1 WHERE id = ${second}`;
      });
    await Promise.all([raise(1, 2), raise(2, 1)]);
    assert.equal(runs, 3);
    assert.deepEqual(
      [...(await db`SELECT id, n FROM counts ORDER BY id`)],
      [
        { id: 1, n: 2 },
        { id: 2, n: 2 },
      ],
    );
  });
});
