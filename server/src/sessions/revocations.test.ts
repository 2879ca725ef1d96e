import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { connectDatabase } from '../database/database.ts';
import { type Revocations, startRevocations } from './revocations.ts';

const log = pino({ level: 'silent' });

describe('revocations', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let here: Revocations;
  let there: Revocations;
  before(async () => {
    database = await testDatabase();
    here = await startRevocations({ db: database.db, log, accessTokenSeconds: 3_600 });
    there = await startRevocations({ db: database.db, log, accessTokenSeconds: 3_600 });
  });
  after(async () => {
    here.stop();
    there.stop();
    await database.close();
  });

  it('hold at once where they were made, and soon on every other node', async () => {
    const announce = await here.revoke(database.db, ['session-1']);
    announce();
    assert.equal(await here.isRevoked(['session-1']), true);
    await waitFor(() => there.isRevoked(['other', 'session-1']), { what: 'the other node to know', seconds: 5 });
    assert.equal(await there.isRevoked(['session-2']), false);
  });

  it('hold on a node that starts later', async () => {
    const late = await startRevocations({ db: database.db, log, accessTokenSeconds: 3_600 });
    assert.equal(await late.isRevoked(['session-1']), true);
    late.stop();
  });

  it('count once committed, also when that takes longer than the time between two looks', async () => {
    let sawEarly = false;
    await database.db.begin(async (tx) => {
      await here.revoke(tx, ['slow']);
      await tx`SELECT pg_sleep(0.8)`;
      sawEarly = await there.isRevoked(['slow']);
    });
    assert.equal(sawEarly, false);
    await waitFor(() => there.isRevoked(['slow']), { what: 'the slow one to be known', seconds: 5 });
  });

  it('S8 are taken for granted by nobody while the database is away: the check fails closed', async () => {
    const own = connectDatabase(database.url, { max: 1, name: 'postern test' });
    const node = await startRevocations({ db: own, log, accessTokenSeconds: 3_600 });
    await own.end({ timeout: 0 });
    await waitFor(
      async () => {
        try {
          return !(await node.isRevoked(['unknown'])) && false;
        } catch (error) {
          return error instanceof Error && 'code' in error && error.code === 'auth.revocations_unknown';
        }
      },
      { what: 'the node to notice that it is cut off', seconds: 10 },
    );
    assert.equal(await node.isRevoked(['session-1']), true, 'what it knows it still knows');
    node.stop();
  });
});
