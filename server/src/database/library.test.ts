import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
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
    const { alone, isCut, end } = await cutOnce(
      (chunk, from) => from === 'client' && chunk.includes('pg_catalog.pg_type'),
    );
    await assert.rejects(alone`SELECT 1`, isUnavailable);
    assert.ok(isCut());
    assert.deepEqual([...(await alone`SELECT ARRAY['a', 'b'] AS letters`)], [{ letters: ['a', 'b'] }]);
    await end();
  });

  it('leaves the next one no error', async () => {
    const { alone, isCut, end } = await cutOnce((chunk, from) => from === 'server' && chunk.includes('does not exist'));
    await assert.rejects(alone`SELECT FROM nothing WHERE i = ${1}`, isUnavailable);
    assert.ok(isCut());
    assert.deepEqual([...(await alone`SELECT 1 AS one`)], [{ one: 1 }]);
    await end();
  });

  /** One connection to the database, ended once: right after what `isLast` says of what passes. */
  async function cutOnce(isLast: (chunk: Buffer, from: 'client' | 'server') => boolean) {
    let isCut = false;
    const proxy = createServer((client) => {
      const server = connect({ host: new URL(url).hostname, port: Number(new URL(url).port) });
      server.on('error', () => {}).on('close', () => client.end());
      client.on('error', () => {}).on('close', () => server.destroy());
      client.on('data', (chunk) => {
        if (!isCut && isLast(chunk, 'client')) {
          isCut = true;
          client.resetAndDestroy();
        } else server.write(chunk);
      });
      server.on('data', (chunk) => {
        client.write(chunk);
        if (isCut || !isLast(chunk, 'server')) return;
        isCut = true;
        server.destroy();
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String((proxy.address() as AddressInfo).port);
    const alone = connectDatabase(through.href, { max: 1, name: 'postern test' });
    const end = async () => {
      await alone.end();
      proxy.close();
    };
    return { alone, isCut: () => isCut, end };
  }
});

describe('a transaction', () => {
  let db: Database;
  let url: string;
  let close: () => Promise<void>;
  before(async () => {
    ({ db, url, close } = await testDatabase());
  });
  after(() => close());

  it('has its connection for itself, however many statements are on their way there', async () => {
    const crowded = connectDatabase(url, { max: 3, name: 'postern test' });
    await Promise.all(Array.from({ length: 10 }, () => crowded`SELECT ${1}::integer`));
    // Each connection takes a hundred: the transaction finds every place from the last but some to the first beyond.
    for (let others = 290; others <= 305; others++) {
      const answers = Array.from({ length: others }, (_, i) => crowded`SELECT ${i}::integer`.execute());
      await crowded.begin((tx) => tx`SELECT 1`);
      await Promise.all(answers);
    }
    await crowded.end();
  });

  it('hears of a fault after the last octet it copied', async () => {
    await db`CREATE TABLE singles (id integer PRIMARY KEY)`;
    const copying = db.begin(async (tx) => {
      await pipeline(Readable.from(['1\n1\n']), await tx`COPY singles FROM STDIN`.writable());
    });
    await assert.rejects(copying, /duplicate key/);
  });
});
