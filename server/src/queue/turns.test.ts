import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from '../database/database.ts';
import { maxTenants, Turns } from './turns.ts';
import { Upkeep } from './upkeep.ts';

const assignments = `lease_token = gen_random_uuid(), claims = q.claims + 1, run_at = now() + interval '20 s'`;

describe('turns', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  after(() => database.close());
  beforeEach(() => db`TRUNCATE email_queue`);

  const makeTurns = () => new Turns({ db, lane: 2, assignments });
  /** Letters of one tenant, the oldest first a second older than the next. */
  const add = async (tenant: string, count: number, { cost = 1, dueIn = '-1 hour' } = {}) => {
    await db`
      INSERT INTO email_queue (email_id, tenant_id, lane, run_at, cost)
      SELECT gen_random_uuid(), ${tenant}, 2, now() + ${dueIn}::interval + i * interval '1 ms', ${cost}
      FROM generate_series(1, ${count}) AS i`;
  };
  const countByTenant = (rows: { tenant_id: string }[]) => {
    const counts = new Map<string, number>();
    for (const { tenant_id: tenant } of rows) counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
    return counts;
  };

  it('share the room equally, and what one leaves among the others', async () => {
    const [small, large, larger] = [randomUUID(), randomUUID(), randomUUID()];
    await add(larger, 500);
    await add(large, 500);
    await add(small, 4);
    const counts = countByTenant(await makeTurns().take(100));
    const [few, many, more] = [small, large, larger].map((tenant) => counts.get(tenant) ?? 0);
    assert.equal(few, 4);
    assert.equal((many ?? 0) + (more ?? 0), 96, 'no room stayed empty');
    assert.ok(Math.abs((many ?? 0) - (more ?? 0)) <= 2, `${many} and ${more}`);
  });

  it('give one alone all the room', async () => {
    const tenant = randomUUID();
    await add(tenant, 300);
    assert.equal((await makeTurns().take(200)).length, 200);
  });

  it('go on after the tenant served last, so that a small room comes to all', async () => {
    const tenants = Array.from({ length: 7 }, () => randomUUID());
    for (const tenant of tenants) await add(tenant, 10);
    const turns = makeTurns();
    const served: { tenant_id: string }[] = [];
    for (let i = 0; i < 14; i++) served.push(...(await turns.take(1)));
    assert.deepEqual([...countByTenant(served).values()], Array(7).fill(2));
  });

  it('alternate, each tenant with its oldest first', async () => {
    const tenants = [randomUUID(), randomUUID()];
    for (const tenant of tenants) await add(tenant, 10);
    const oldest = await db<{ email_id: string }[]>`
      SELECT email_id FROM (SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY run_at) AS place FROM email_queue) AS q
      WHERE place <= 3`;
    const taken = await makeTurns().take(6);
    assert.deepEqual(
      taken.map(({ rank }) => rank),
      [1, 1, 2, 2, 3, 3],
    );
    assert.deepEqual(taken.map(({ email_id: id }) => id).sort(), oldest.map(({ email_id: id }) => id).sort());
  });

  it('make who sends what is dear wait for the others, to an equal cost in the long run', async () => {
    const [cheap, dear] = [randomUUID(), randomUUID()];
    await add(cheap, 2_000);
    await add(dear, 200, { cost: 20 });
    const turns = makeTurns();
    let cost = 0;
    let letters = 0;
    for (let i = 0; i < 20; i++) {
      for (const row of await turns.take(50)) {
        if (row.tenant_id === dear) cost += row.cost;
        else letters++;
      }
    }
    assert.equal(letters + cost / 20, 1_000, 'no room stayed empty');
    assert.ok(Math.abs(cost - letters) <= 100, `${cost} to ${letters}`);
  });

  it('fill the room with dear letters where there are no others', async () => {
    await add(randomUUID(), 60, { cost: 1_000 });
    await add(randomUUID(), 60, { cost: 700 });
    assert.equal((await makeTurns().take(100)).length, 100);
  });

  it('come to more tenants than one round holds', async () => {
    for (let i = 0; i < maxTenants * 2 + 5; i++) await add(randomUUID(), 1);
    assert.equal((await makeTurns().take(200)).length, maxTenants * 2 + 5);
  });

  it('leave to others what they are just taking, and never take twice', async () => {
    for (let i = 0; i < 5; i++) await add(randomUUID(), 100);
    const takers = Array.from({ length: 4 }, makeTurns);
    const taken = (await Promise.all(takers.map((turns) => turns.take(200)))).flat();
    const rest = await makeTurns().take(500);
    const ids = [...taken, ...rest].map(({ email_id: id }) => id);
    assert.equal(ids.length, 500);
    assert.equal(new Set(ids).size, 500);
  });

  describe('in a queue with a backlog', () => {
    const plan = async (turns: Turns, room: number) => {
      const statement = turns
        .statement(room)
        .replace('WITH RECURSIVE', 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) WITH RECURSIVE');
      const results = await db.unsafe<{ 'QUERY PLAN': [{ Plan: PlanNode }] }[][]>(statement);
      const root = results.at(-1)?.[0]?.['QUERY PLAN'][0].Plan;
      assert.ok(root);
      const nodes = flatten(root).filter((node) => node['Relation Name'] === 'email_queue');
      return { nodes, pages: root['Shared Hit Blocks'] + root['Shared Read Blocks'] };
    };
    const assertBounded = ({ nodes, pages }: Awaited<ReturnType<typeof plan>>, most: number) => {
      const scans = nodes.filter((node) => node['Node Type'] !== 'ModifyTable');
      assert.ok(scans.length >= 4);
      for (const node of scans) {
        assert.match(node['Node Type'], /^Index (Only )?Scan$/);
        const rows = node['Actual Rows'] * node['Actual Loops'] + (node['Rows Removed by Filter'] ?? 0);
        assert.ok(rows <= 210, `${node['Node Type']} read ${rows} rows`);
      }
      assert.ok(pages <= most, `${pages} pages`);
    };

    it('find the one letter of another tenant at once, by reading no more than it and its own turn', async () => {
      const other = randomUUID();
      await add(randomUUID(), 100_000);
      await add(randomUUID(), 20_000, { dueIn: '1 hour' });
      await add(other, 1, { dueIn: '-1 second' });
      const turns = makeTurns();
      // A page or so for each step down an index, and a dozen to write a letter's claim.
      assertBounded(await plan(turns, 10), 400);
      await add(other, 1, { dueIn: '-1 second' });
      const taken = await turns.take(10);
      assert.ok(taken.some(({ tenant_id: tenant }) => tenant === other));
      assert.equal(taken.length, 10);
    });

    it('find them as easily after long work, since what was taken is cleared away', async () => {
      for (let i = 0; i < 3; i++) await add(randomUUID(), 10_000);
      const turns = makeTurns();
      const upkeep = new Upkeep({ db, log: pino({ level: 'silent' }), every: 29_000 });
      for (let i = 0; i < 29; i++) {
        const ids = (await turns.take(1_000)).map(({ email_id: id }) => id);
        assert.equal(ids.length, 1_000);
        await db`DELETE FROM email_queue WHERE email_id = ANY(${ids}::uuid[])`;
        upkeep.note(ids.length);
      }
      await upkeep.settled();
      assertBounded(await plan(turns, 10), 400);
    });
  });
});

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: PlanNode[];
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)];
}
