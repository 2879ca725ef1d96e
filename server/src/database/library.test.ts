import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { connectDatabase, type Database, isUnavailable } from './database.ts';

describe('a connection that is lost', () => {
  let db: Database;
  let close: () => Promise<void>;
  let url: string;
  before(async () => {
    ({ db, url, close } = await testDatabase());
  });
  after(() => close());

  it('in a transaction rejects the next statement, and ends neither the process nor the pool (F5)', async () => {
    for (let i = 0; i < 20; i++) {
      const transaction = db.begin(async (tx) => {
        const [self] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
        const pid = self?.pid ?? 0;
        await db`SELECT pg_terminate_backend(${pid})`;
        await waitFor(async () => (await db`SELECT FROM pg_stat_activity WHERE pid = ${pid}`).length === 0, {
          what: 'the backend to end',
        });
        // Written into a connection that is no more: how soon that is known is a matter of luck.
        await tx`SELECT 1`;
      });
      await assert.rejects(transaction, isUnavailable);
    }
    // Every connection of the pool works.
    const all = Array.from({ length: 50 }, (_, i) => db<{ i: number }[]>`SELECT ${i}::integer AS i, pg_sleep(0.01)`);
    assert.deepEqual(
      (await Promise.all(all)).map(([row]) => row?.i),
      Array.from({ length: 50 }, (_, i) => i),
    );
  });

  it('takes the rest of its transaction with it, also once there is a new one', async () => {
    await db`CREATE TABLE rest (step integer)`;
    const alone = connectDatabase(url, { max: 1, name: 'postern test' });
    let isOver = false;
    const transaction = alone.begin(async (tx) => {
      const [self] = await tx<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
      await db`SELECT pg_terminate_backend(${self?.pid ?? 0})`;
      await waitFor(() => isOver, { what: 'the caller to be told' });
      await alone`SELECT 'the new connection'`;
      await tx`INSERT INTO rest VALUES (2)`;
    });
    await assert.rejects(transaction, isUnavailable);
    isOver = true;
    await alone`SELECT 1`;
    await alone.end();
    assert.deepEqual([...(await db`SELECT step FROM rest`)], []);
  });
});
