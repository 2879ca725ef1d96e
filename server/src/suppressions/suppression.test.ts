import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import { suppressionOf } from './suppression.ts';

describe('the suppression list', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  before(async () => {
    database = await testDatabase();
  });
  after(() => database.close());

  it('is asked by its whole key, so that a long list costs no more than a short one', async () => {
    const [row] = await database.db.unsafe(
      `EXPLAIN (FORMAT JSON) SELECT ${suppressionOf('r.tenant_id', 'r.address', 'r.is_bulk')}
       FROM (SELECT gen_random_uuid() AS tenant_id, 'a@b'::text AS address, true AS is_bulk OFFSET 0) AS r`,
    );
    assert.match(JSON.stringify(row), /Index Cond":"[^"]*address_normalized/);
  });
});
