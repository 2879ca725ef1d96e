import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from '../database/database.ts';
import { findCounts, foldCounters } from './counters.ts';

describe('the counters of mail', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  before(async () => {
    database = await testDatabase();
    db = database.db;
  });
  after(() => database.close());

  it('are folded into one row an hour, without a loss, once the hour is over', async () => {
    const tenantId = randomUUID();
    await db`
      INSERT INTO email_counters (tenant_id, hour, type, shard, count)
      SELECT ${tenantId}, date_trunc('hour', now()) - hours * interval '1 hour', type, shard, shard + 1
      FROM generate_series(0, 30) AS hours, generate_series(0, 7) AS shard, unnest(ARRAY['queued', 'sent']) AS type`;
    const span = {
      interval: 'hour' as const,
      from: new Date(Date.now() - 40 * 3_600_000),
      to: new Date(Date.now() + 1),
    };
    const counts = async () =>
      new Map((await findCounts(db, tenantId, span)).map(({ at, type, count }) => [`${at.getTime()} ${type}`, count]));
    const unfolded = await counts();
    assert.equal(unfolded.size, 62);
    // Two nodes keep house at once.
    await Promise.all([foldCounters(db), foldCounters(db)]);
    assert.deepEqual(await counts(), unfolded);
    const [rows] = await db`
      SELECT count(*)::int AS old FROM email_counters
      WHERE tenant_id = ${tenantId} AND hour < now() - interval '3 hours'`;
    const [hours] = await db`
      SELECT count(DISTINCT (hour, type))::int AS old FROM email_counters
      WHERE tenant_id = ${tenantId} AND hour < now() - interval '3 hours'`;
    assert.equal(rows?.old, hours?.old);
  });
});
