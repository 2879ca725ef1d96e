/**
 * What every queue must do, whatever carries the ids. A test file for each engine gives the engine; the database is the
 * embedded one. Where "nothing" is expected, a letter that is due is put behind it and comes alone.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import pino, { type Logger } from 'pino';
import type { Database } from '../../src/database/database.ts';
import { type ClaimedEmail, leaseSecondsOf, type OpenQueue, type Room } from '../../src/queue/queue.ts';
import { testDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

export interface Engine {
  name: string;
  /** Why it cannot be tested here, if so. */
  skip: string | false;
  /** Resolves once it works as it is meant to, over its broker if it has one. */
  open: (parts: { db: Database; log: Logger }) => Promise<OpenQueue>;
  /** Leaves nothing behind of what it made for this database. */
  remove?: (installation: string) => Promise<void>;
}

const log = pino({ level: 'silent' });
const room: Room = { otp: 50, transactional: 50, bulk: 50 };
const [otp, transactional, bulk] = [0, 1, 2] as const;

export function describeQueue(engine: Engine): void {
  describe(`the queue over ${engine.name}`, { skip: engine.skip }, () => {
    let database: Awaited<ReturnType<typeof testDatabase>>;
    let db: Database;
    const open: OpenQueue[] = [];
    before(async () => {
      database = await testDatabase();
      db = database.db;
    });
    after(async () => {
      const [row] = await db`SELECT id FROM installation`;
      await engine.remove?.(row?.id);
      await database.close();
    });
    afterEach(async () => {
      await db`TRUNCATE email_queue`;
      await Promise.all(open.splice(0).map((queue) => queue.close()));
    });

    const openQueue = async (): Promise<OpenQueue> => {
      const queue = await engine.open({ db, log });
      open.push(queue);
      return queue;
    };
    /** Puts letters into the queue and returns their ids. */
    const add = async (
      lane: number,
      count = 1,
      { tenant = randomUUID() as string, dueIn = '0', expiresIn = null as string | null } = {},
    ) => {
      const rows = await db<{ email_id: string }[]>`
        INSERT INTO email_queue (email_id, tenant_id, lane, run_at, expires_at)
        SELECT gen_random_uuid(), ${tenant}, ${lane}, now() + ${dueIn}::interval, now() + ${expiresIn}::interval
        FROM generate_series(1, ${count})
        RETURNING email_id`;
      for (const queue of open) queue.wake();
      return rows.map(({ email_id: id }) => id);
    };
    /** Claims until `count` letters have come. */
    const claim = async (queue: OpenQueue, count: number, size = room): Promise<ClaimedEmail[]> => {
      const got: ClaimedEmail[] = [];
      await waitFor(
        async () => {
          got.push(...(await queue.claim(size)));
          return got.length >= count;
        },
        { what: `${count} letters`, detail: () => `${got.length} came` },
      );
      return got;
    };
    /** The one letter that is due, by whichever worker it comes to. */
    const claimByAny = (queues: OpenQueue[]) =>
      waitFor(
        async () => {
          for (const queue of queues) {
            const [claim] = await queue.claim(room);
            if (claim) return { queue, claim };
          }
          return undefined;
        },
        { what: 'the letter' },
      );
    const idsOf = (claims: ClaimedEmail[]) => claims.map(({ id }) => id).sort();
    /** Ends leases and offers, as time would. */
    const letTimePass = () => db`UPDATE email_queue SET run_at = now() WHERE lease_token IS NOT NULL OR is_offered`;
    /** Asserts that nothing more is to be had: what is put there last comes alone. */
    const assertNothingElse = async (queue: OpenQueue) => {
      const [last] = await add(bulk);
      assert.deepEqual(idsOf(await claim(queue, 1)), [last]);
    };

    it('gives everything that is due, once', async () => {
      const queue = await openQueue();
      const ids = [...(await add(otp, 7)), ...(await add(transactional, 60)), ...(await add(bulk, 130))];
      assert.deepEqual(idsOf(await claim(queue, ids.length)), ids.sort());
      await assertNothingElse(queue);
    });

    it('says of each letter whose it is, how urgent, how often tried, and whether its time is over', async () => {
      const queue = await openQueue();
      const tenant = randomUUID();
      const [id] = await add(transactional, 1, { tenant, expiresIn: '-1 second' });
      await db`UPDATE email_queue SET attempts = 3, claims = 1 WHERE email_id = ${id ?? ''}`;
      const before = performance.now();
      const [one] = await claim(queue, 1);
      assert.ok(one);
      assert.deepEqual(
        { ...one, leaseToken: '', leaseEndsAt: 0 },
        { id, tenantId: tenant, lane: 1, attempts: 3, claims: 2, isExpired: true, leaseToken: '', leaseEndsAt: 0 },
      );
      assert.ok(one.leaseEndsAt > before && one.leaseEndsAt <= performance.now() + leaseSecondsOf(one) * 1000);
      const [row] = await db<{ late: number }[]>`
        SELECT extract(epoch FROM run_at - now())::float * 1000 AS late FROM email_queue WHERE lease_token = ${one.leaseToken}`;
      assert.ok(
        row && one.leaseEndsAt <= performance.now() + row.late,
        'the lease as reckoned never outlives the real one',
      );
    });

    it('takes no more than there is room for, and bulk mail only what others leave', async () => {
      const queue = await openQueue();
      await add(otp, 10);
      await add(transactional, 10);
      await add(bulk, 10);
      const lanes = [0, 0, 0];
      for (let count = 0; count < 30; ) {
        const claims = await queue.claim({ otp: 2, transactional: 3, bulk: 4 });
        const got = [otp, transactional, bulk].map((lane) => claims.filter((one) => one.lane === lane).length);
        assert.ok((got[0] ?? 0) <= 2 && (got[1] ?? 0) <= 3 && (got[1] ?? 0) + (got[2] ?? 0) <= 4, `${got}`);
        for (const lane of [otp, transactional, bulk]) lanes[lane] = (lanes[lane] ?? 0) + (got[lane] ?? 0);
        count += claims.length;
        if (claims.length === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(lanes, [10, 10, 10]);
    });

    it('has codes come first, and takes them where there is room for nothing else', async () => {
      const queue = await openQueue();
      await add(bulk, 200);
      const codes = await add(otp, 3);
      assert.deepEqual(idsOf(await claim(queue, 3, { otp: 10, transactional: 0, bulk: 0 })), codes.sort());
      await add(otp, 2);
      await add(transactional, 2);
      const claims = await claim(queue, 204);
      for (const one of claims) assert.ok(one.lane >= 0);
      const mixed = await queue.claim(room);
      assert.deepEqual(
        mixed.map(({ lane }) => lane),
        mixed.map(({ lane }) => lane).sort(),
      );
    });

    it('lets a tenant with one letter pass another with thousands', async () => {
      const queue = await openQueue();
      await add(bulk, 5_000);
      await claim(queue, 50);
      const [single] = await add(bulk);
      let before = 0;
      await waitFor(
        async () => {
          const claims = await queue.claim(room);
          before += claims.length;
          return claims.some(({ id }) => id === single);
        },
        { what: 'the single letter' },
      );
      // What a broker held already goes first; that is the short ready queue, not the backlog.
      assert.ok(before < 3_000, `${before} came before it`);
    });

    it('holds a letter for one worker alone, whoever else asks (F8)', async () => {
      const workers = await Promise.all([openQueue(), openQueue(), openQueue()]);
      const ids = await add(transactional, 900);
      const got = workers.map((): ClaimedEmail[] => []);
      await waitFor(
        async () => {
          for (const [index, queue] of workers.entries()) assert.deepEqual(await queue.renew(got[index] ?? []), []);
          const claims = await Promise.all(
            workers.map((queue) => queue.claim({ otp: 20, transactional: 20, bulk: 20 })),
          );
          for (const [index, more] of claims.entries()) got[index]?.push(...more);
          return got.flat().length >= ids.length;
        },
        { what: 'all letters' },
      );
      assert.deepEqual(idsOf(got.flat()).sort(), ids.sort());
    });

    it('lets a letter wait for its time', async () => {
      const queue = await openQueue();
      const [later] = await add(transactional, 1, { dueIn: '1 hour' });
      await assertNothingElse(queue);
      await db`UPDATE email_queue SET run_at = now() WHERE email_id = ${later ?? ''}`;
      queue.wake();
      assert.deepEqual(idsOf(await claim(queue, 1)), [later]);
    });

    it('gives a letter whose lease has run out to another, and tells the first (F9)', async () => {
      const workers = await Promise.all([openQueue(), openQueue()]);
      const [id] = await add(transactional);
      const first = await claimByAny(workers);
      await letTimePass();
      const second = await claimByAny(workers);
      assert.equal(second.claim.id, id);
      assert.equal(second.claim.claims, 2);
      assert.notEqual(second.claim.leaseToken, first.claim.leaseToken);
      assert.deepEqual(await first.queue.renew([first.claim]), [first.claim]);
      await first.queue.release([first.claim]);
      const [row] = await db`SELECT lease_token FROM email_queue WHERE email_id = ${id ?? ''}`;
      assert.equal(row?.lease_token, second.claim.leaseToken, 'who has lost a lease can give nothing back');
    });

    it('prolongs a lease', async () => {
      const queue = await openQueue();
      await add(transactional);
      const [one] = await claim(queue, 1);
      assert.ok(one);
      const endedAt = one.leaseEndsAt;
      assert.deepEqual(await queue.renew([one]), []);
      assert.ok(one.leaseEndsAt > endedAt);
    });

    it('takes back what was not begun, for anyone, and does not count the claim', async () => {
      const workers = await Promise.all([openQueue(), openQueue()]);
      const [id] = await add(transactional);
      const first = await claimByAny(workers);
      await first.queue.release([first.claim]);
      const second = await claimByAny(workers);
      assert.equal(second.claim.id, id);
      assert.equal(second.claim.claims, 1);
    });

    it('gives nothing that was canceled', async () => {
      const queue = await openQueue();
      const ids = await add(transactional, 20);
      await db`DELETE FROM email_queue WHERE lease_token IS NULL AND email_id = ANY(${ids}::uuid[])`;
      await assertNothingElse(queue);
    });

    it('tells its worker when there is something new to claim, or lets it look by itself', async () => {
      const queue = await openQueue();
      let calls = 0;
      queue.onWork(() => calls++);
      await add(otp);
      await waitFor(async () => calls > 0 || (await queue.claim(room)).length > 0, { what: 'word of the letter' });
    });

    it('gives back at its end what nobody claimed', async () => {
      const [first, second] = await Promise.all([openQueue(), openQueue()]);
      const ids = await add(transactional, 100);
      const some = await first.claim({ otp: 0, transactional: 10, bulk: 0 });
      await first.close();
      await first.release(some);
      second.wake();
      assert.deepEqual(idsOf(await claim(second, ids.length)), ids.sort());
    });
  });
}
