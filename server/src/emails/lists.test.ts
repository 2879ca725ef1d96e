/** Lists of letters: what each filter finds, alone and with others, and that none reads a month from end to end. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import postgres from 'postgres';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { type ListFilter, pageOfEmails } from './history.ts';

const tenantId = randomUUID();
const caller = (name: string, ...scopes: string[]): Caller => ({
  kind: 'client',
  id: randomUUID(),
  name,
  tenantId,
  scopes: new Set(scopes),
});
const admin = caller('client:admin', 'mail:admin');
const app = caller('client:app', 'email');

/** Letters, a second apart; the promise is about more, but the plans are made of statistics that this many give too. */
const count = Number(process.env.POSTERN_TEST_LISTED_LETTERS ?? 60_000);

interface Letter {
  id: string;
  status: string;
  submitted_by: string;
  address: string;
  tags: { name: string; value: string }[] | null;
  created_at: Date;
}

describe('lists of letters', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let letters: Letter[];
  const asked: { query: string; parameters: unknown[] }[] = [];

  before(async () => {
    database = await testDatabase();
    db = postgres(database.url, {
      debug: (_connection, query, parameters) => asked.push({ query, parameters }),
      onnotice: () => {},
    });
    // A twelfth of a second apart, so that all lie within the months that have partitions.
    await database.db`
      WITH letter AS (
        SELECT i, at, overlay(uuid7_floor(at)::text PLACING lpad(to_hex(i), 12, '0') FROM 25 FOR 12)::uuid AS id
        FROM generate_series(1, ${count}::int) AS i,
             LATERAL (SELECT now() - interval '30 minutes' - i * interval '83 milliseconds' AS at) AS time
      ), recipients AS (
        INSERT INTO email_recipients (email_id, position, kind, address, status)
        SELECT id, 0, 'to', CASE WHEN i % 1000 = 7 THEN 'Rare@example.com' ELSE 'u' || i % 50 || '@example.com' END, 'sent' FROM letter
      )
      INSERT INTO emails (id, tenant_id, submitted_by, message_id, mail_from, subject, lane, status, tags, on_uncertain, created_at)
      SELECT id, ${tenantId}, CASE WHEN i % 10 = 0 THEN 'client:app' ELSE 'client:other' END, '<x@y>', 'a@b', 'Hello', 'bulk',
             CASE WHEN i % 500 = 3 THEN 'bounced' WHEN i % 7 = 0 THEN 'failed' ELSE 'sent' END,
             CASE WHEN i % 5000 = 11 THEN '[{"name": "rare", "value": "yes"}]'::jsonb
                  WHEN i % 2 = 0 THEN jsonb_build_array(jsonb_build_object('name', 'kind', 'value', 'v' || i % 4)) END,
             'retry', at
      FROM letter`;
    await database.db`ANALYZE emails`;
    await database.db`ANALYZE email_recipients`;
    letters = await database.db<Letter[]>`
      SELECT e.id, e.status, e.submitted_by, lower(r.address) AS address, e.tags, e.created_at
      FROM emails e JOIN email_recipients r ON r.email_id = e.id ORDER BY e.id DESC`;
  });
  after(async () => {
    await db.end();
    await database.close();
  });

  const matches = (who: Caller, letter: Letter, filter: ListFilter) => {
    const [name, value] = filter.tag?.split(':') ?? [];
    return (
      (who === admin || letter.submitted_by === who.name) &&
      (filter.status === undefined || letter.status === filter.status) &&
      (filter.to === undefined || letter.address === filter.to.toLowerCase()) &&
      (name === undefined ||
        (letter.tags ?? []).some((tag) => tag.name === name && (value === undefined || tag.value === value))) &&
      (filter.created_after === undefined || letter.created_at >= new Date(filter.created_after)) &&
      (filter.created_before === undefined || letter.created_at < new Date(filter.created_before))
    );
  };
  const instant = (index: number) => letters[Math.floor(index * letters.length)]?.created_at.toISOString() ?? '';

  const filters = (): Record<string, ListFilter> => ({
    nothing: {},
    'a common status': { status: 'sent' },
    'a rare status': { status: 'bounced' },
    'a status that none has': { status: 'complained' },
    'what is under way': { status: 'sending' },
    'what waits': { status: 'queued' },
    'a common recipient': { to: 'u3@example.com' },
    'a rare recipient': { to: 'rare@EXAMPLE.com' },
    nobody: { to: 'nobody@example.com' },
    'a common tag': { tag: 'kind' },
    'a common tag and value': { tag: 'kind:v2' },
    'a rare tag': { tag: 'rare' },
    'a tag that none has': { tag: 'none' },
    'a span of time': { created_after: instant(0.6), created_before: instant(0.4) },
    'the time before all': { created_before: '2020-01-01T00:00:00Z' },
    'the time after all': { created_after: '2100-01-01T00:00:00Z' },
    'recipient and status': { to: 'u7@example.com', status: 'failed' },
    'tag and status': { tag: 'kind:v0', status: 'bounced' },
    'tag and recipient': { tag: 'kind', to: 'u4@example.com' },
    'tag and time': { tag: 'rare', created_before: instant(0.5) },
    'recipient and time': { to: 'rare@example.com', created_after: instant(0.5) },
    'status and time': { status: 'bounced', created_after: instant(0.7), created_before: instant(0.2) },
    everything: {
      to: 'u8@example.com',
      tag: 'kind',
      status: 'sent',
      created_after: instant(0.9),
      created_before: instant(0.1),
    },
  });

  for (const who of [admin, app]) {
    it(`find what they are asked for, page by page, without reading a month from end to end (${who.name})`, async () => {
      for (const [what, filter] of Object.entries(filters())) {
        const expected = letters.filter((letter) => matches(who, letter, filter)).map(({ id }) => id);
        asked.length = 0;
        const first = await pageOfEmails(db, who, { ...filter, limit: 7 });
        const statements = asked.splice(0).filter(({ query }) => query.includes('FROM'));
        const second = await pageOfEmails(db, who, {
          ...filter,
          limit: 7,
          after: first.data.at(-1)?.id ?? randomUUID(),
        });
        assert.deepEqual(
          [...first.data, ...(first.data.length > 0 ? second.data : [])].map(({ id }) => id),
          expected.slice(0, 14),
          what,
        );
        assert.equal(first.has_more, expected.length > 7, what);
        assert.ok(statements.some(({ query }) => query.includes('FROM emails') || query.includes('email_recipients')));
        for (const { query, parameters } of statements) {
          const plan = (await database.db.unsafe(`EXPLAIN ${query}`, parameters as never)).map(
            (row) => row['QUERY PLAN'],
          );
          const scans = plan.filter((line: string) => /Seq Scan on (emails|email_recipients)_/.test(line));
          const big = scans.filter((line: string) => Number(/rows=(\d+)/.exec(line)?.[1]) > 100);
          assert.deepEqual(big, [], `${what}:\n${plan.join('\n')}`);
        }
      }
    });
  }

  it('refuse what is no instant', async () => {
    for (const created_after of ['yesterday', '1969-01-01T00:00:00Z', '9999-12-31T00:00:00Z']) {
      await assert.rejects(pageOfEmails(db, admin, { created_after }), { code: 'http.invalid_request' });
    }
  });
});
