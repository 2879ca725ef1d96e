/** A database that is slow or has no connection to give: quick answers, and memory that does not grow (F18). */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testDatabase } from '../support/database.ts';
import { tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

describe('F18 a database that is slow, and asked by 200 at once', () => {
  let way: TcpProxy;
  let closeDatabase: () => Promise<void>;
  let postern: Postern;
  let token: string;
  before(async () => {
    const { url, close } = await testDatabase();
    closeDatabase = close;
    const near = new URL(url);
    way = await startTcpProxy({ host: near.hostname, port: Number(near.port) });
    near.port = String(way.port);
    postern = await startPostern({
      env: { DATABASE_URL: near.href, POSTERN_ENV: 'development' },
      args: ['--role', 'api'],
    });
    token = await tokenOf(postern);
  });
  after(async () => {
    way.mend();
    await postern.dispose();
    await way.close();
    await closeDatabase();
  });

  it('is answered by 202 or a 503 that says when to come back, and is fast again afterwards', async () => {
    const json = { to: 'a@example.com', subject: 'x', text: 'y'.repeat(10_000) };
    const send = (headers = {}) => postern.call('POST', '/emails', { token, json, headers });
    assert.equal((await send()).status, 202);
    const memory = residentMebibytes(postern);
    // Each way, so that a transaction of a few statements takes seconds.
    way.slowDown(400);
    const statuses = new Map<number, number>();
    let asked = 0;
    const client = async (isAlone: boolean) => {
      while (asked < 600) {
        asked++;
        // With an Idempotency-Key a letter has a transaction, and with it a connection, of its own.
        const { status, headers } = await send(isAlone ? { 'idempotency-key': randomUUID() } : {});
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status !== 503) continue;
        assert.ok(headers.get('retry-after'));
        await sleep(200);
      }
    };
    await Promise.all(Array.from({ length: 200 }, (_, i) => client(i % 2 === 0)));
    assert.deepEqual([...statuses.keys()].sort(), [202, 503]);
    assert.ok(residentMebibytes(postern) < memory + 150, `${memory} MiB grew to ${residentMebibytes(postern)}`);
    way.mend();
    await waitFor(async () => (await send()).status === 202, { what: 'letters to be taken again' });
  });
});

function residentMebibytes({ process: { pid } }: Postern): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
