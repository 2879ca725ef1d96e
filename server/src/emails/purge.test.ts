import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, beforeEach, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from '../database/database.ts';
import { historyTables, planPurge, purge } from './purge.ts';

/** Those that each letter has a row in. */
const ofEveryLetter = historyTables.filter((table) => table !== 'email_exceptions');
const before = new Date('2025-05-10T00:00:00Z');

describe('purging mail history', () => {
  let db: Database;
  const closing: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    const database = await testDatabase();
    db = database.db;
    closing.push(database.close);
    for (const table of historyTables) {
      for (const month of [3, 4, 5]) {
        const bound = (of: number) => `uuid7_floor('2025-0${of}-01T00:00:00Z')`;
        const [bounds] = await db.unsafe(`SELECT ${bound(month)} AS from, ${bound(month + 1)} AS to`);
        await db.unsafe(
          `CREATE TABLE ${table}_2025_0${month} PARTITION OF ${table}
           FOR VALUES FROM ('${bounds?.from}') TO ('${bounds?.to}')`,
        );
      }
    }
  });
  after(() => Promise.all(closing.map((close) => close())));

  /** A letter accepted at noon of that day, with its recipient, body and event; queued unless it is at its end. */
  async function letter(day: string, status: string): Promise<string> {
    const at = new Date(`${day}T12:00:00Z`);
    const time = at.getTime().toString(16).padStart(12, '0');
    const rest = randomBytes(9).toString('hex');
    const id = `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6)}`;
    await db`
      INSERT INTO emails (id, tenant_id, message_id, mail_from, subject, lane, status, on_uncertain, created_at)
      VALUES (${id}, ${randomUUID()}, '<x@postern.test>', 'a@b.example', 'Hello', 'bulk', ${status}, 'retry', ${at})`;
    await db`INSERT INTO email_recipients (email_id, position, kind, address, status)
             VALUES (${id}, 0, 'to', 'ada@b.example', ${status})`;
    await db`INSERT INTO email_bodies (email_id, text_body) VALUES (${id}, 'Hello')`;
    await db`INSERT INTO email_attachments (email_id, position, chunk, data) VALUES (${id}, 0, 0, 'x')`;
    await db`INSERT INTO email_events (email_id, id, type, at) VALUES (${id}, ${randomUUID()}, 'email.queued', ${at})`;
    if (['scheduled', 'queued', 'deferred'].includes(status)) {
      await db`INSERT INTO email_queue (email_id, tenant_id, lane, run_at) VALUES (${id}, ${randomUUID()}, 2, now())`;
    }
    return id;
  }
  const idsIn = async (table: string) => {
    const column = table === 'emails' ? 'id' : 'email_id';
    return (await db.unsafe(`SELECT ${column} AS id FROM ${table} ORDER BY 1`)).map(({ id }) => id);
  };
  const partitions = async () => {
    const rows = await db`
      SELECT right(c.relname, 7) AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'emails'::regclass AND c.relname LIKE 'emails_2025%' ORDER BY 1`;
    return rows.map(({ month }) => month);
  };

  it('knows every table of the history', async () => {
    const rows = await db<{ name: string }[]>`
      SELECT relname AS name FROM pg_class WHERE relkind = 'p' AND relname <> 'audit_events' AND relname NOT LIKE 'webhook%' ORDER BY 1`;
    assert.deepEqual(
      rows.map(({ name }) => name),
      [...historyTables].sort(),
    );
  });

  it('drops months that lie before, deletes in the month it falls into, and keeps what is unfinished', async () => {
    for (const status of ['sent', 'bounced', 'uncertain']) await letter('2025-03-05', status);
    const kept = [
      await letter('2025-04-02', 'scheduled'),
      await letter('2025-04-20', 'deferred'),
      await letter('2025-05-09', 'queued'),
      await letter('2025-05-10', 'sent'),
      await letter('2025-05-20', 'failed'),
    ];
    await letter('2025-04-01', 'sent');
    await letter('2025-04-30', 'canceled');
    await letter('2025-05-09', 'expired');

    const plan = await planPurge(db, before);
    assert.deepEqual(
      plan.map(({ month, finished, unfinished, isWhole }) => [month, finished, unfinished, isWhole]),
      [
        ['2025_03', 3, 0, true],
        ['2025_04', 2, 2, false],
        ['2025_05', 1, 1, false],
      ],
    );
    assert.equal((await idsIn('emails')).length, 11, 'a plan deletes nothing');
    const said: unknown[] = [];
    assert.equal(await purge(db, plan, (progress) => said.push(progress)), 6);
    assert.deepEqual(said, [
      { month: '2025_03', letters: 3, dropped: true },
      { month: '2025_04', letters: 2, dropped: false },
      { month: '2025_05', letters: 1, dropped: false },
    ]);
    for (const table of ofEveryLetter) assert.deepEqual(await idsIn(table), kept, table);
    assert.deepEqual(await idsIn('email_exceptions'), kept.slice(-1), 'only the failed one is an exception');
    assert.deepEqual(await partitions(), ['2025_04', '2025_05']);
    assert.deepEqual(
      (await planPurge(db, before)).map(({ month, finished }) => [month, finished]),
      [['2025_04', 0]],
    );
  });

  it('lets a letter live that was taken up again since the plan was made', async () => {
    const id = await letter('2025-03-05', 'failed');
    await letter('2025-03-06', 'sent');
    const plan = await planPurge(db, before);
    assert.equal(plan[0]?.isWhole, true);
    await db`UPDATE emails SET status = 'queued' WHERE id = ${id}`;
    await db`INSERT INTO email_queue (email_id, tenant_id, lane, run_at) VALUES (${id}, ${randomUUID()}, 2, now())`;
    assert.equal(await purge(db, plan), 1);
    for (const table of ofEveryLetter) assert.deepEqual(await idsIn(table), [id], table);
  });

  it('waits for a transaction that has the history open, without stopping others meanwhile', async () => {
    await letter('2025-03-05', 'sent');
    const plan = await planPurge(db, before);
    let purging: Promise<number> | undefined;
    await db.begin(async (tx) => {
      await tx`SELECT count(*) FROM emails`;
      purging = purge(db, plan);
      // Others that come after the one who waits get through once it has given up its place.
      for (let i = 0; i < 3; i++) await letter('2025-05-20', 'sent');
      assert.equal((await idsIn('emails')).length, 4);
    });
    assert.equal(await purging, 1);
    assert.equal((await idsIn('emails')).length, 3);
  });

  it('goes through more letters than one batch holds', async () => {
    await db`
      INSERT INTO emails (id, tenant_id, message_id, mail_from, subject, lane, status, on_uncertain, created_at)
      SELECT overlay(uuid7_floor('2025-05-02T00:00:00Z')::text PLACING lpad(to_hex(i), 12, '0') FROM 25)::uuid,
             gen_random_uuid(), 'x', 'x', 'x', 'bulk', 'sent', 'retry', '2025-05-02'
      FROM generate_series(1, 4500) AS i`;
    const plan = await planPurge(db, before);
    assert.equal(await purge(db, plan), 4500);
    assert.deepEqual(await idsIn('emails'), []);
  });
});
