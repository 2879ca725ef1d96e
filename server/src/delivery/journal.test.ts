import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { findDetail } from '../emails/history-store.ts';
import { submitEmails } from '../emails/submit.ts';
import { PostgresQueue } from '../queue/postgres.ts';
import { journalFolder, openJournal, ownJournals, readFrames } from './journal.ts';
import { replayJournals } from './journal-replay.ts';
import { hold, settlementOf } from './outcome.ts';
import { loadLetters, type Settlement } from './store.ts';

const secrets = makeSecrets([Buffer.alloc(32, 7)]);
const log = pino({ level: 'silent' });
const tenantId = randomUUID();

describe('the journal of outcomes', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let dataDir: string;
  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  after(() => database.close());
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'postern-test-'));
    await db`DELETE FROM email_queue`;
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  const files = () => readdirSync(journalFolder(dataDir)).map((name) => join(journalFolder(dataDir), name));
  const theFile = () => {
    const [path, ...more] = files();
    assert.ok(path);
    assert.deepEqual(more, []);
    return path;
  };
  const statusOf = async (id: string) => (await findDetail(db, { tenantId, submittedBy: null }, id))?.status;
  /** Letters claimed by a worker, each with the outcome that the relay took it. */
  const deliver = async (count: number): Promise<Settlement[]> => {
    const letter = {
      tenantId,
      from: { address: 'no-reply@example.com' },
      to: [{ address: 'ada@example.com' }],
      subject: 'Hello',
      text: 'a text that is nobody else’s business',
      lane: 'transactional' as const,
    };
    await submitEmails(
      { secrets, messageIdHost: 'postern.test' },
      db,
      Array.from({ length: count }, () => letter),
    );
    const claims = await new PostgresQueue({ db, log }).claim({ otp: 0, transactional: count, bulk: 0 });
    const letters = await loadLetters(
      db,
      claims.map(({ id }) => id),
      1e6,
    );
    const reply = { code: 250, enhanced: '2.0.0', text: 'ok' };
    return claims.map((claim) => {
      const row = letters.find(({ id }) => id === claim.id);
      assert.ok(row);
      const results = [{ address: 'ada@example.com', outcome: 'sent' as const, reply }];
      return settlementOf(hold(row, claim), { results, reached: true }, new Date(), 0);
    });
  };
  /** A journal of a worker that died after it had taken these down. */
  const leave = async (settlements: Settlement[], { done = 0 } = {}) => {
    const journal = openJournal({ dataDir, log });
    for (const one of settlements) journal.append(one);
    await turn();
    if (done > 0) journal.done(done);
    journal.close();
  };
  const idsOf = (settlements: Settlement[]) => settlements.map(({ letter }) => letter.id);

  it('is a file for its owner alone, and holds no text of a letter', async () => {
    await leave(await deliver(1));
    assert.equal(statSync(theFile()).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(theFile(), 'utf8'), /nobody else/);
  });

  it('has an outcome in the file before the turn ends, and goes away when all is done', async () => {
    const [outcome] = await deliver(1);
    assert.ok(outcome);
    const journal = openJournal({ dataDir, log });
    journal.append(outcome);
    await Promise.resolve();
    assert.deepEqual(JSON.parse(readFrames(readFileSync(theFile()))[1] ?? ''), outcome);
    await journal.flush();
    journal.done(1);
    journal.close();
    assert.deepEqual(files(), []);
  });

  it('is replayed: a letter whose 250 was read is settled as sent, also when its lease ran out', async () => {
    const outcomes = await deliver(3);
    await leave(outcomes);
    await db`UPDATE email_queue SET run_at = now() - interval '1 hour'`;
    await replayJournals({ dataDir, db, log });
    for (const id of idsOf(outcomes)) assert.equal(await statusOf(id), 'sent');
    assert.equal((await db`SELECT FROM email_queue`).length, 0);
    assert.deepEqual(files(), []);
  });

  it('is not replayed against a worker that has taken the letter since (F9), and that is said', async () => {
    const [taken, free] = await deliver(2);
    assert.ok(taken && free);
    await leave([taken, free]);
    await db`UPDATE email_queue SET lease_token = ${randomUUID()} WHERE email_id = ${taken.letter.id}`;
    const lines: string[] = [];
    await replayJournals({ dataDir, db, log: pino({ level: 'warn' }, { write: (line) => lines.push(line) }) });
    assert.deepEqual([await statusOf(taken.letter.id), await statusOf(free.letter.id)], ['sending', 'sent']);
    assert.deepEqual(JSON.parse(lines[0] ?? '{}').emails, [taken.letter.id]);
  });

  it('ends at a frame that was cut off', async () => {
    const [whole, torn] = await deliver(2);
    assert.ok(whole && torn);
    await leave([whole, torn]);
    truncateSync(theFile(), statSync(theFile()).size - 5);
    await replayJournals({ dataDir, db, log });
    assert.deepEqual([await statusOf(whole.letter.id), await statusOf(torn.letter.id)], ['sent', 'sending']);
  });

  it('ends at a damaged frame', async () => {
    const [whole] = await deliver(1);
    assert.ok(whole);
    await leave([whole]);
    appendFileSync(theFile(), Buffer.concat([Buffer.from([0, 0, 0, 2, 1, 2, 3, 4]), Buffer.from('{}')]));
    await replayJournals({ dataDir, db, log });
    assert.equal(await statusOf(whole.letter.id), 'sent');
  });

  it('repeats nothing that is marked as done', async () => {
    const [first, second] = await deliver(2);
    assert.ok(first && second);
    await leave([first, second], { done: 1 });
    await replayJournals({ dataDir, db, log });
    assert.deepEqual([await statusOf(first.letter.id), await statusOf(second.letter.id)], ['sending', 'sent']);
  });

  it('of a living worker is left alone, of a dead process taken at once, of an unknown machine once it is silent', async () => {
    const owners = [
      ['alive', { host: undefined, pid: process.ppid }, 0],
      ['dead', { host: undefined, pid: 2 ** 22 + 1 }, 1],
      ['elsewhere', { host: 'another-machine', pid: process.ppid }, 0],
    ] as const;
    for (const [name, { host, pid }, replayed] of owners) {
      const [outcome] = await deliver(1);
      assert.ok(outcome);
      await leave([outcome]);
      changeOwner(theFile(), { pid, ...(host && { host }) });
      await replayJournals({ dataDir, db, log });
      assert.equal(await statusOf(outcome.letter.id), replayed ? 'sent' : 'sending', name);
      if (name === 'elsewhere') {
        const longAgo = new Date(Date.now() - 60_000);
        utimesSync(theFile(), longAgo, longAgo);
        await replayJournals({ dataDir, db, log });
        assert.equal(await statusOf(outcome.letter.id), 'sent');
      }
      for (const file of files()) rmSync(file);
    }
  });

  it('is begun anew, with what is not done, where another worker took it away', async () => {
    const [done, pending] = await deliver(2);
    assert.ok(done && pending);
    const journal = openJournal({ dataDir, log });
    journal.append(done);
    journal.append(pending);
    await journal.flush();
    journal.done(1);
    rmSync(theFile());
    await journal.flush();
    const [, ...payloads] = readFrames(readFileSync(theFile()));
    assert.deepEqual(
      payloads.map((one) => JSON.parse(one)),
      [pending],
    );
    journal.close();
  });

  it('does not grow without end', async () => {
    const [outcome] = await deliver(1);
    assert.ok(outcome?.recipients[0]);
    outcome.recipients[0].reply_text = 'x'.repeat(100_000);
    const journal = openJournal({ dataDir, log });
    for (let i = 0; i < 200; i++) {
      journal.append(outcome);
      await journal.flush();
      journal.done(1);
    }
    assert.ok(statSync(theFile()).size < 9 * 1024 * 1024);
    journal.close();
  });

  it('says what to do where the folder cannot be written', () => {
    writeFileSync(join(dataDir, 'journal'), 'a file');
    assert.throws(() => openJournal({ dataDir, log }), /cannot write its journal.*DATA_DIR/);
  });

  it('is broken while the disk refuses it, and heals by itself with nothing lost', async () => {
    const [outcome] = await deliver(1);
    assert.ok(outcome);
    const journal = openJournal({ dataDir, log });
    journal.append(outcome);
    await journal.flush();
    const folder = journalFolder(dataDir);
    rmSync(folder, { recursive: true });
    writeFileSync(folder, 'no folder');
    await waitFor(() => journal.isBroken(), { what: 'the fault to be noticed' });
    rmSync(folder);
    mkdirSync(folder);
    await waitFor(() => !journal.isBroken(), { what: 'the journal to heal' });
    assert.deepEqual(JSON.parse(readFrames(readFileSync(theFile()))[1] ?? ''), outcome);
    journal.close();
  });

  it('knows its own files', async () => {
    const journal = openJournal({ dataDir, log });
    assert.ok(ownJournals.has(theFile()));
    await replayJournals({ dataDir, db, log });
    assert.ok(theFile());
    journal.close();
    assert.equal(ownJournals.size, 0);
  });
});

/** As if another had written the file. */
function changeOwner(path: string, owner: { pid: number; host?: string }): void {
  const [first = '', ...rest] = readFrames(readFileSync(path));
  const frames = [JSON.stringify({ ...JSON.parse(first), ...owner }), ...rest].map((payload) => {
    const bytes = Buffer.from(payload);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(bytes.length, 0);
    head.writeUInt32BE(crc32(bytes), 4);
    return Buffer.concat([head, bytes]);
  });
  writeFileSync(path, Buffer.concat(frames));
}
