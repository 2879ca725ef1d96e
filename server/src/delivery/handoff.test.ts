import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { freePorts } from '../../test/support/free-ports.ts';
import { startSink } from '../../test/support/smtp-sink.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { newId } from '../crypto/ids.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { makeAcceptor } from '../emails/accept.ts';
import type { NewEmail } from '../emails/email.ts';
import { submitEmails, submitLeased } from '../emails/submit.ts';
import { PostgresQueue } from '../queue/postgres.ts';
import type { ClaimedEmail, Room } from '../queue/queue.ts';
import { SmtpTransport } from '../transport/smtp.ts';
import { type HandedLetters, HandoffWindow, makeHandoff, makeWindow } from './handoff.ts';
import { loadLetters } from './store.ts';
import { type MailWorker, startMailWorker } from './worker.ts';

const secrets = makeSecrets([Buffer.alloc(32, 7)]);
const parts = { secrets, messageIdHost: 'postern.test' };
const log = pino({ level: 'silent' });
const tenantId = randomUUID();

const aLetter = (more: Partial<NewEmail> = {}): NewEmail => ({
  tenantId,
  from: { address: 'no-reply@example.com' },
  to: [{ address: 'ada@example.com' }],
  subject: 'Hello',
  text: 'Hi.',
  lane: 'transactional',
  ...more,
});

/** As a thread is told it. */
const told = (handed: HandedLetters): HandedLetters => structuredClone(handed);

describe('letters that are handed to the worker', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let dataDir: string;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'postern-test-'));
    database = await testDatabase();
    db = database.db;
  });
  after(async () => {
    await database.close();
    await rm(dataDir, { recursive: true });
  });

  const rowOf = async (id: string) => {
    const [row] = await db<{ lease_token: string | null; claims: number; is_due: boolean }[]>`
      SELECT lease_token, claims, run_at <= now() AS is_due FROM email_queue WHERE email_id = ${id}`;
    return row;
  };

  /** A worker with a window, an acceptor before it, and what its claims brought. */
  const startWorker = (t: TestContext, url: string) => {
    const window = makeWindow();
    const claimed: ClaimedEmail[] = [];
    class Watched extends PostgresQueue {
      override async claim(room: Room): Promise<ClaimedEmail[]> {
        const claims = await super.claim(room);
        claimed.push(...claims);
        return claims;
      }
    }
    const worker: MailWorker = startMailWorker({
      db,
      queue: new Watched({ db, log }),
      transport: new SmtpTransport({ urls: [url] }),
      secrets,
      log,
      dataDir,
      publicUrl: 'http://localhost:3000',
      findDkimKeys: async () => [],
      handoff: window,
    });
    t.after(() => worker.stop());
    const handoff = makeHandoff(window, (handed) => worker.take(told(handed)));
    const accept = makeAcceptor({
      db,
      submitLeased: (...rest) => submitLeased(parts, ...rest),
      handoff: () => handoff,
      wakeWorkers: () => worker.wake(),
    });
    const isOpen = () => Atomics.load(window, 0) !== 0;
    return { worker, handoff, accept, claimed, isOpen };
  };

  it('are as they would be loaded', async () => {
    const gone = { address: 'Gone@example.com', name: 'Gone "G."' };
    await db`
      INSERT INTO suppressions (tenant_id, address_normalized, address, reason)
      VALUES (${tenantId}, 'gone@example.com', ${gone.address}, 'manual')`;
    const emails = [
      aLetter(),
      aLetter({
        to: [{ address: 'ada@example.com', name: 'Ada {L}, \\"the" first' }],
        cc: [gone],
        bcc: [{ address: 'bob@example.com' }],
        replyTo: [{ address: 'help@example.com', name: 'Help, please' }, { address: 'b@example.com' }],
        subject: 'NULL',
        text: '{"a": "b\\\\c"}\r\nNULL, \'x\' \u{1f600}\n',
        html: '<p class="x">\\"{}</p>',
        headers: { 'X-Colour': 'blue "and" \\ {green}' },
        tags: [{ name: 'kind', value: 'receipt' }],
        metadata: { order: [1, null, 'é'] },
        expiresAt: new Date(Date.now() + 3_600_000),
        onUncertain: 'hold',
        submittedBy: 'client:shop',
      }),
      aLetter({
        subject: 'Your code is 1234',
        text: 'It is 1234.',
        redacted: { subject: 'Your code is ****', text: 'It is ****.', html: '' },
      }),
      aLetter({ to: [gone] }),
      aLetter({ subject: 'not leased' }),
    ];
    let handed: HandedLetters | undefined;
    const window = makeWindow();
    const receiver = new HandoffWindow(window);
    receiver.open(4);
    const handoff = makeHandoff(window, (letters) => {
      handed = told(letters);
    });
    assert.equal(handoff.reserve(4), 4);
    const leasedAt = Number(process.hrtime.bigint()) / 1e6;
    const { submitted, leased } = await submitLeased(parts, db, emails, ({ subject }) => subject !== 'not leased');
    handoff.handOver(leased, 4, leasedAt);
    assert.ok(handed);
    const received = receiver.receive(handed);
    const loaded = await loadLetters(
      db,
      submitted.slice(0, 3).map(({ id }) => id),
      1_000_000,
    );
    assert.deepEqual(
      received.map(({ claim: _, destination: __, loadedAt: ___, ...letter }) => letter),
      [...loaded],
    );
    for (const { claim } of received) {
      const row = await rowOf(claim.id);
      assert.deepEqual(row, { lease_token: claim.leaseToken, claims: claim.claims, is_due: false });
      assert.ok(claim.leaseEndsAt <= performance.now() + 20_000, 'believed to last no longer than it does');
      assert.ok(claim.leaseEndsAt > performance.now() + 10_000);
    }
    assert.equal(received[0]?.destination, 'example.com');
    assert.equal(await rowOf(submitted[3]?.id ?? ''), undefined, 'to nobody but the suppressed: ended');
    const byQueue = await rowOf(submitted[4]?.id ?? '');
    assert.deepEqual(byQueue, { lease_token: null, claims: 0, is_due: true });
    await db`DELETE FROM email_queue`;
  });

  it('go from acceptance to the relay, and the queue is not asked for them', async (t) => {
    const sink = await startSink();
    t.after(() => sink.close());
    const { accept, claimed, isOpen } = startWorker(t, sink.url);
    await waitFor(isOpen, { what: 'the worker to have caught up' });
    const ids = await Promise.all(Array.from({ length: 40 }, async () => (await accept(aLetter())).id));
    await waitFor(async () => (await db`SELECT FROM email_queue`).length === 0, { what: 'all to be settled' });
    assert.equal(sink.received.length, 40);
    assert.deepEqual(claimed, []);
    const [{ count } = { count: 0 }] = await db<{ count: number }[]>`
      SELECT count(*)::int FROM emails WHERE id IN ${db(ids)} AND status = 'sent'`;
    assert.equal(count, 40);
  });

  it('are none while others wait in the queue, nor bulk or scheduled ones ever', async (t) => {
    const sink = await startSink();
    t.after(() => sink.close());
    const { worker, handoff, accept, claimed, isOpen } = startWorker(t, sink.url);
    await waitFor(isOpen, { what: 'the worker to have caught up' });
    const bulk = await accept(aLetter({ lane: 'bulk' }));
    const scheduled = await accept(aLetter({ scheduledAt: new Date(Date.now() + 60_000) }));
    await waitFor(async () => (await rowOf(bulk.id)) === undefined, { what: 'bulk mail to be delivered' });
    assert.deepEqual(
      claimed.map(({ id }) => id),
      [bulk.id],
    );
    assert.equal((await rowOf(scheduled.id))?.lease_token, null);
    await worker.stop();
    assert.equal(handoff.reserve(1), 0, 'a worker that has stopped takes none');

    const waiting = await submitEmails(parts, db, [aLetter()]);
    const next = startWorker(t, sink.url);
    assert.equal(next.handoff.reserve(1), 0, 'nobody has looked yet whether some wait');
    await waitFor(next.isOpen, { what: 'the worker to have caught up' });
    assert.deepEqual(
      next.claimed.map(({ id }) => id),
      waiting.map(({ id }) => id),
    );
    await next.worker.stop();
    await db`DELETE FROM email_queue`;
  });

  it('are given to the queue where the worker stops or no relay can be reached, due at once', async (t) => {
    const sink = await startSink();
    t.after(() => sink.close());
    const late = startWorker(t, sink.url);
    await waitFor(late.isOpen, { what: 'the worker to have caught up' });
    assert.equal(late.handoff.reserve(1), 1);
    const leasedAt = Number(process.hrtime.bigint()) / 1e6;
    const { submitted, leased } = await submitLeased(parts, db, [aLetter()], () => true);
    const ended = late.worker.stop();
    late.handoff.handOver(leased, 1, leasedAt);
    await ended;
    await waitFor(async () => (await rowOf(submitted[0]?.id ?? ''))?.is_due, { what: 'the letter to be given back' });
    assert.equal((await rowOf(submitted[0]?.id ?? ''))?.lease_token, null);
    await db`DELETE FROM email_queue`;

    const down = startWorker(t, `smtp://127.0.0.1:${(await freePorts(1))[0]}`);
    await waitFor(down.isOpen, { what: 'the worker to have caught up' });
    assert.equal(down.handoff.reserve(1), 1);
    await down.accept(aLetter());
    await waitFor(() => down.handoff.reserve(1) === 0, { what: 'the window to be shut' });
    const lateOne = await submitLeased(parts, db, [aLetter()], () => true);
    down.handoff.handOver(lateOne.leased, 1, Number(process.hrtime.bigint()) / 1e6);
    const id = lateOne.submitted[0]?.id ?? '';
    await waitFor(async () => (await rowOf(id))?.lease_token === null, { what: 'the letter to be given back' });
    await down.worker.stop();
    await db`DELETE FROM email_queue`;
  });

  it('are never more than there is room for, however many have gone before', async () => {
    const window = makeWindow();
    const receiver = new HandoffWindow(window);
    const handoff = makeHandoff(window, () => {});
    const nothing = { letters: JSON.stringify({ createdAt: new Date(), rows: [], recipients: [], suppressed: [] }) };
    assert.equal(handoff.reserve(5), 0);
    receiver.open(3);
    assert.equal(handoff.reserve(2), 2);
    assert.equal(handoff.reserve(2), 1);
    handoff.giveBack(1);
    assert.equal(handoff.reserve(9), 1);
    receiver.receive({ ...nothing, count: 3, leasedAt: 0 });
    receiver.open(0);
    assert.equal(handoff.reserve(1), 0);
    // Up to where the numbers go around, and beyond.
    for (let i = 0; i < 3; i++) {
      receiver.open(2 ** 31 - 1);
      assert.equal(handoff.reserve(2 ** 31 - 1), 2 ** 31 - 1);
      receiver.receive({ ...nothing, count: 2 ** 31 - 1, leasedAt: 0 });
      receiver.open(10);
      assert.equal(handoff.reserve(20), 10);
      receiver.receive({ ...nothing, count: 10, leasedAt: 0 });
    }
  });

  it('leave their room to others where they could not be written', async () => {
    const window = makeWindow();
    new HandoffWindow(window).open(2);
    const handoff = makeHandoff(window, () => assert.fail('nothing was accepted'));
    const accept = makeAcceptor({
      db,
      submitLeased: (...rest) => submitLeased(parts, ...rest),
      handoff: () => handoff,
      wakeWorkers: () => {},
    });
    await assert.rejects(accept(aLetter({ id: newId(), userId: 'no uuid' })));
    assert.equal(handoff.reserve(5), 2);
  });
});
