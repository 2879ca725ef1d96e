/** What every broker must survive: losing ids, repeating them, going away, coming back, hanging, and strangers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import pino from 'pino';
import type { Database } from '../../src/database/database.ts';
import type { Broker } from '../../src/queue/broker.ts';
import { BrokerQueue } from '../../src/queue/broker-queue.ts';
import type { ClaimedEmail, OpenQueue, Room } from '../../src/queue/queue.ts';
import { testDatabase } from '../support/database.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';
import { openOverBroker } from './open-over-broker.ts';

export interface BrokerEngine {
  name: string;
  skip: string | false;
  /** Where the broker is. */
  url: string;
  makeBroker: (url: string) => Broker;
  /** Puts a message into a lane's queue, as a broker that repeats itself or a stranger would. */
  publish: (installation: string, lane: number, ids: string[]) => Promise<void>;
  /** Empties the queues as they stand. */
  purge: (installation: string) => Promise<void>;
  /** Leaves nothing behind. */
  remove: (installation: string) => Promise<void>;
}

const silent = pino({ level: 'silent' });
const room: Room = { otp: 50, transactional: 50, bulk: 50 };

export function describeBroker(engine: BrokerEngine): void {
  describe(`a queue over ${engine.name}`, { skip: engine.skip }, () => {
    let database: Awaited<ReturnType<typeof testDatabase>>;
    let db: Database;
    let installation: string;
    let proxy: TcpProxy;
    let proxyUrl: string;
    const open: OpenQueue[] = [];
    before(async () => {
      database = await testDatabase();
      db = database.db;
      installation = await idOf(db);
      const { hostname, port } = new URL(engine.url);
      proxy = await startTcpProxy({ host: hostname, port: Number(port) });
      const url = new URL(engine.url);
      url.hostname = '127.0.0.1';
      url.port = String(proxy.port);
      proxyUrl = url.href;
    });
    after(async () => {
      await proxy?.close();
      if (installation) await engine.remove(installation);
      await database?.close();
    });
    afterEach(async () => {
      proxy.mend();
      await db`TRUNCATE email_queue`;
      await Promise.all(open.splice(0).map((queue) => queue.close()));
    });

    const idOf = async (of: Database) => (await of`SELECT id FROM installation`)[0]?.id;
    const openQueue = async (): Promise<OpenQueue> => {
      const queue = await openOverBroker({ db, log: silent, broker: engine.makeBroker(engine.url) });
      open.push(queue);
      return queue;
    };
    /** Over the proxy, with what it logs and what `/readyz` would be told; resolves at once. */
    const openWatched = (url = proxyUrl) => {
      const lines: string[] = [];
      const faults: (string | undefined)[] = [];
      const log = pino({ level: 'info' }, { write: (line) => lines.push(line) });
      const broker = engine.makeBroker(url);
      const queue = new BrokerQueue({ db, log, broker, onFault: (fault) => faults.push(fault) });
      open.push(queue);
      return { queue, lines, faults };
    };
    const add = async (count: number, { lane = 1, to = db } = {}) => {
      const rows = await to<{ email_id: string }[]>`
        INSERT INTO email_queue (email_id, tenant_id, lane, run_at)
        SELECT gen_random_uuid(), ${randomUUID()}, ${lane}, now() FROM generate_series(1, ${count}) RETURNING email_id`;
      for (const queue of open) queue.wake();
      return rows.map(({ email_id: id }) => id);
    };
    const claim = async (queue: OpenQueue, count: number): Promise<ClaimedEmail[]> => {
      const got: ClaimedEmail[] = [];
      await waitFor(
        async () => {
          got.push(...(await queue.claim(room)));
          return got.length >= count;
        },
        { what: `${count} letters`, detail: () => `${got.length} came` },
      );
      return got;
    };
    const idsOf = (claims: ClaimedEmail[]) => claims.map(({ id }) => id).sort();
    const letOffersRunOut = () => db`UPDATE email_queue SET run_at = now() WHERE is_offered`;

    it('gives once what the broker brings twice (F8)', async () => {
      const queue = await openQueue();
      const ids = await add(10);
      const first = await claim(queue, 10);
      await engine.publish(installation, 1, ids);
      await engine.publish(installation, 1, [...ids, ...ids]);
      const [last] = await add(1);
      assert.deepEqual(idsOf(await claim(queue, 1)), [last]);
      assert.deepEqual(idsOf(first), ids.sort());
      const [{ claims } = {}] = await db`SELECT max(claims) AS claims FROM email_queue`;
      assert.equal(claims, 1);
    });

    it('gives a letter that another was just looking at under the same offer', async () => {
      const queue = await openQueue();
      const [first = ''] = await add(1);
      const offer = async () => {
        const [row] = await db`SELECT run_at::text, is_offered FROM email_queue WHERE email_id = ${first}`;
        return row;
      };
      await waitFor(async () => (await offer())?.is_offered, { what: 'the letter to be offered' });
      const offered = await offer();
      await db.begin(async (tx) => {
        // What a round leaves behind that began before the offer and finds that the letter is no longer due.
        await tx`SELECT FROM email_queue WHERE email_id = ${first} FOR UPDATE`;
        const [second] = await add(1);
        assert.deepEqual(idsOf(await claim(queue, 1)), [second], 'the id before it has arrived too');
      });
      assert.deepEqual(idsOf(await claim(queue, 1)), [first]);
      assert.deepEqual(await offer(), { run_at: offered?.run_at, is_offered: false });
    });

    it('gives a repeated id no sooner than its letter is due again', async () => {
      const queue = await openQueue();
      const [id = ''] = await add(1);
      const [one] = await claim(queue, 1);
      // As after an attempt that is to be repeated later.
      await db`UPDATE email_queue SET lease_token = NULL, run_at = now() + interval '1 hour' WHERE email_id = ${one?.id ?? ''}`;
      await engine.publish(installation, 1, [id]);
      const [last] = await add(1);
      assert.deepEqual(idsOf(await claim(queue, 1)), [last]);
    });

    it('gives again what the broker has lost, once the offers have run out (F6, F7)', async () => {
      const queue = await openQueue();
      const ids = await add(1_400);
      await waitFor(async () => (await db`SELECT FROM email_queue WHERE is_offered`).length >= 1_000, {
        what: 'a full queue in the broker',
      });
      await engine.purge(installation);
      const got: string[] = [];
      await waitFor(
        async () => {
          const claims = await queue.claim(room);
          got.push(...idsOf(claims));
          if (claims.length === 0) await letOffersRunOut();
          return got.length >= ids.length;
        },
        { what: 'all letters' },
      );
      assert.deepEqual(got.sort(), ids.sort());
    });

    it('goes over PostgreSQL while the broker is away, says so once, and once when it is back', async () => {
      const { queue, lines, faults } = openWatched();
      await waitFor(() => faults.length === 1, { what: 'the first connection' });
      const before = await add(30);
      const claims = await claim(queue, 10);
      proxy.cut();
      await waitFor(() => faults.length === 2, { what: 'word of the loss' });
      const during = await add(30);
      // Among them what had been offered and had reached nobody.
      await letOffersRunOut();
      claims.push(...(await claim(queue, 60 - claims.length)));
      assert.deepEqual(idsOf(claims), [...before, ...during].sort());
      proxy.mend();
      await waitFor(() => faults.length === 3, { what: 'word of the return' });
      const afterwards = await add(30);
      assert.deepEqual(idsOf(await claim(queue, 30)), afterwards.sort());
      assert.match(faults[1] ?? '', /bridged over PostgreSQL/);
      assert.equal(faults[2], undefined);
      assert.equal(lines.filter((line) => /cannot be used/.test(line)).length, 1);
      assert.equal(lines.filter((line) => /is back;/.test(line)).length, 1);
      assert.equal(lines.length, 3, lines.join(''));
    });

    it('works from the start where the broker is not there yet, names it, and uses it when it comes', async () => {
      proxy.cut();
      const { queue, lines, faults } = openWatched();
      const ids = await add(5);
      assert.deepEqual(idsOf(await claim(queue, 5)), ids.sort());
      await waitFor(() => lines.length === 1, { what: 'a line in the log' });
      assert.match(lines[0] ?? '', new RegExp(`127\\.0\\.0\\.1:${proxy.port} cannot be used`));
      proxy.mend();
      await waitFor(() => faults.at(-1) === undefined, { what: 'the broker to be used' });
      const more = await add(5);
      assert.deepEqual(idsOf(await claim(queue, 5)), more.sort());
    });

    it('takes a broker that no longer answers for one that is away', async () => {
      const { queue, faults } = openWatched();
      await waitFor(() => faults.length === 1, { what: 'the first connection' });
      proxy.block();
      const ids = await add(20);
      await waitFor(() => faults.length === 2, { what: 'word of the loss' });
      assert.deepEqual(idsOf(await claim(queue, 20)), ids.sort());
    });

    it('passes over what is none of its ids', async () => {
      const queue = await openQueue();
      await engine.publish(installation, 1, ['no id', "'; DROP TABLE email_queue; --", randomUUID()]);
      const ids = await add(3);
      assert.deepEqual(idsOf(await claim(queue, 3)), ids.sort());
    });

    it('keeps to itself beside another Postern on the same broker', async () => {
      const other = await testDatabase();
      const otherInstallation = await idOf(other.db);
      const theirs = await openOverBroker({ db: other.db, log: silent, broker: engine.makeBroker(engine.url) });
      try {
        const ours = await openQueue();
        const ids = await add(100);
        const otherIds = await add(100, { to: other.db });
        theirs.wake();
        assert.deepEqual(idsOf(await claim(ours, 100)), ids.sort());
        assert.deepEqual(idsOf(await claim(theirs, 100)), otherIds.sort());
      } finally {
        await theirs.close();
        await engine.remove(otherInstallation);
        await other.close();
      }
    });

    it('tells of a wrong password without telling it', async () => {
      const url = new URL(engine.url);
      url.username = 'postern';
      url.password = 'hunter2';
      const { queue, lines, faults } = openWatched(url.href);
      await waitFor(() => lines.length === 1, { what: 'a line in the log' });
      assert.doesNotMatch([...lines, ...faults].join(), /hunter2/);
      const ids = await add(1);
      assert.deepEqual(idsOf(await claim(queue, 1)), ids);
    });

    it('is checked by doctor', async () => {
      await engine.makeBroker(engine.url).check();
      proxy.cut();
      await assert.rejects(engine.makeBroker(proxyUrl).check());
    });
  });
}
