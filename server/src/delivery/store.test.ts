import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { newId } from '../crypto/ids.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import { connectDatabase, type Database } from '../database/database.ts';
import { submitEmails } from '../emails/submit.ts';
import { writeOutcomes } from './settle.ts';
import { type Settlement, settleStatement } from './store.ts';

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Cond'?: string;
  Plans?: Plan[];
}

describe('settling', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  before(async () => {
    database = await testDatabase();
    db = connectDatabase(database.url, { max: 1, name: 'postern test', byIndex: true });
  });
  after(async () => {
    await db.end();
    await database.close();
  });

  it('finds each row by its key, also where the plan is made before there are statistics', async () => {
    const [row] = await db.unsafe(`EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${settleStatement}`);
    const scans = nodesOf(row?.['QUERY PLAN'][0].Plan).filter(
      (node) => node['Node Type'].includes('Scan') && /^email/.test(node['Relation Name'] ?? ''),
    );
    assert.ok(scans.length > 10);
    for (const scan of scans) assert.ok(scan['Index Cond'], `${scan['Relation Name']} is read from end to end`);
  });

  it('never takes back what has ended (F15, M)', async () => {
    const tenantId = newId();
    const to = ['ada', 'bob'].map((name) => ({ address: `${name}@example.com` }));
    const parts = { secrets: makeSecrets([Buffer.alloc(32, 7)]), messageIdHost: 'postern.test' };
    const from = { address: 'no-reply@example.com' };
    const [letter] = await submitEmails(parts, db, [
      { tenantId, from, to, subject: 'Hello', text: 'Hi.', lane: 'transactional' },
    ]);
    const id = letter?.id ?? assert.fail();
    const settle = async (statuses: ['sent' | 'deferred' | 'bounced', 'sent' | 'deferred'], isOver: boolean) => {
      const lease_token = newId();
      await db`UPDATE email_queue SET lease_token = ${lease_token} WHERE email_id = ${id}`;
      const run_at = isOver ? null : new Date(Date.now() + 60_000).toISOString();
      const recipients = statuses.map((status, position) => ({
        position,
        status,
        attempts: 1,
        reply_code: 250,
        reply_enhanced: null,
        reply_text: status,
        next_attempt_at: null,
        event: { id: newId(), type: status, data: null },
        refused: null,
      }));
      const settlement = {
        letter: { id, lease_token, run_at, status: isOver ? 'sent' : 'deferred', has_seal: false, attempts: 1 },
        at: new Date().toISOString(),
        recipients,
      } as Settlement;
      await writeOutcomes({ db, log: pino({ level: 'silent' }) }, [settlement]);
      const rows = await db<{ status: string }[]>`
        SELECT status FROM email_recipients WHERE email_id = ${id} ORDER BY position`;
      return rows.map(({ status }) => status);
    };
    assert.deepEqual(await settle(['sent', 'deferred'], false), ['sent', 'deferred']);
    // As a worker would that knows nothing of the first attempt.
    assert.deepEqual(await settle(['bounced', 'sent'], true), ['sent', 'sent']);
  });

  it('is done again where it was ended for others who waited for its rows, as it waited for theirs', async () => {
    const tenantId = newId();
    const [letter] = await submitEmails(
      { secrets: makeSecrets([Buffer.alloc(32, 7)]), messageIdHost: 'postern.test' },
      db,
      [
        {
          tenantId,
          from: { address: 'no-reply@example.com' },
          to: [{ address: 'ada@example.com' }],
          subject: 'Hello',
          text: 'Hi.',
          lane: 'transactional',
        },
      ],
    );
    assert.ok(letter);
    const { id } = letter;
    const lease_token = newId();
    await db`UPDATE email_queue SET lease_token = ${lease_token} WHERE email_id = ${id}`;
    const settlement: Settlement = {
      letter: { id, lease_token, run_at: null, status: 'sent', has_seal: false, attempts: 1 },
      at: new Date().toISOString(),
      recipients: [
        {
          position: 0,
          status: 'sent',
          attempts: 1,
          reply_code: 250,
          reply_enhanced: '2.0.0',
          reply_text: 'Ok',
          next_attempt_at: null,
          event: { id: newId(), type: 'sent', data: null },
          refused: null,
        },
      ],
    };
    const [self] = await db<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
    let refused: string[] | undefined;
    let settling: Promise<void> | undefined;
    await database.db.begin(async (tx) => {
      await tx`UPDATE email_recipients SET name = 'Ada' WHERE email_id = ${id}`;
      settling = writeOutcomes({ db, log: pino({ level: 'silent' }) }, [settlement]).then((ids) => {
        refused = ids;
      });
      await waitFor(
        async () => {
          const [row] = await database.db<{ wait_event_type: string | null }[]>`
            SELECT wait_event_type FROM pg_stat_activity WHERE pid = ${self?.pid ?? 0}`;
          return row?.wait_event_type === 'Lock';
        },
        { what: 'the settlement to wait' },
      );
      await tx`SELECT FROM email_queue WHERE email_id = ${id} FOR UPDATE`;
    });
    await settling;
    assert.deepEqual(refused, []);
    const [after] = await db`SELECT status FROM emails WHERE id = ${id}`;
    assert.equal(after?.status, 'sent');
  });
});

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
