import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import { connectDatabase, type Database } from '../database/database.ts';
import { settleStatement } from './store.ts';

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
});

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}
