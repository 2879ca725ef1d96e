import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
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
    // Every connection of the pool works, once it is known which have ended.
    const all = await waitFor(
      () =>
        Promise.all(
          Array.from({ length: 50 }, (_, i) => db<{ i: number }[]>`SELECT ${i}::integer AS i, pg_sleep(0.01)`),
        ),
      { what: 'the pool to be whole again', retryOn: isUnavailable },
    );
    assert.deepEqual(
      all.map(([row]) => row?.i),
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

  it('while it asks for the types of arrays rejects who waits for it, and the next one works', async () => {
    let cuts = 0;
    const proxy = createServer((client) => {
      const server = connect({ host: new URL(url).hostname, port: Number(new URL(url).port) });
      server.pipe(client).on('error', () => {});
      client.on('error', () => {}).on('close', () => server.destroy());
      client.on('data', (chunk) => {
        if (cuts === 0 && chunk.includes('pg_catalog.pg_type')) {
          cuts++;
          client.resetAndDestroy();
        } else server.write(chunk);
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String((proxy.address() as AddressInfo).port);
    const alone = connectDatabase(through.href, { max: 1, name: 'postern test' });
    await assert.rejects(alone`SELECT 1`, isUnavailable);
    assert.equal(cuts, 1);
    assert.deepEqual([...(await alone`SELECT ARRAY['a', 'b'] AS letters`)], [{ letters: ['a', 'b'] }]);
    await alone.end();
    proxy.close();
  });
});
