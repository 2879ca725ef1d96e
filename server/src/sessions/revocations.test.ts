import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { type RedisServer, redisServerMissing, startRedisServer } from '../../test/support/redis-server.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import { connectDatabase } from '../database/database.ts';
import { redisChannel } from '../redis/channel.ts';
import { openRedis, type Redis } from '../redis/redis.ts';
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

describe('revocations over Redis', { skip: redisServerMissing }, () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let server: RedisServer;
  const secrets = makeSecrets([randomBytes(32)]);
  const links: Redis[] = [];
  const nodes: Revocations[] = [];
  before(async () => {
    database = await testDatabase();
    server = await startRedisServer();
    for (let i = 0; i < 2; i++) {
      const redis = openRedis(server.url, { installation: 'test', log });
      links.push(redis);
      const channel = redisChannel('revocations', { redis, secrets });
      nodes.push(await startRevocations({ db: database.db, log, accessTokenSeconds: 3_600, channel }));
    }
    await listening();
  });
  after(async () => {
    for (const node of nodes) node.stop();
    for (const link of links) link.close();
    await server.close();
    await database.close();
  });
  const channel = 'postern:{test}:revocations';
  const listening = () =>
    waitFor(
      async () => {
        if (!server.client().isReady) return false;
        return (await server.client().pubSubNumSub(channel))[channel] === 2;
      },
      { what: 'both nodes to listen' },
    );
  const here = () => nodes[0] ?? assert.fail();
  const there = () => nodes[1] ?? assert.fail();
  /** Said on the channel alone: the transaction never commits, so no poll can find it. */
  async function sayOnly(subject: string) {
    const rolledBack = new Error('rolled back');
    let announce = () => {};
    await database.db
      .begin(async (tx) => {
        announce = await here().revoke(tx, [subject]);
        throw rolledBack;
      })
      .catch((error: unknown) => assert.equal(error, rolledBack));
    announce();
  }

  it('S22 reach the other node without its poll, also after Redis was started anew', async () => {
    await sayOnly('pushed');
    await waitFor(() => there().isRevoked(['pushed']), { what: 'the other node to hear', seconds: 5 });
    await server.kill();
    await server.start();
    await listening();
    for (const link of links) await waitFor(link.isWell, { what: 'Redis to be used again' });
    await sayOnly('pushed later');
    await waitFor(() => there().isRevoked(['pushed later']), { what: 'the other node to hear', seconds: 5 });
  });

  it('S22 reach the other node although Redis hangs or loses what is said', async () => {
    server.freeze();
    try {
      (await here().revoke(database.db, ['while frozen']))();
      await waitFor(() => there().isRevoked(['while frozen']), { what: 'the poll to find it', seconds: 5 });
    } finally {
      server.thaw();
    }
    await here().revoke(database.db, ['never announced']);
    await waitFor(() => there().isRevoked(['never announced']), { what: 'the poll to find it', seconds: 5 });
  });

  it('are taken from nobody else', async () => {
    const stranger = openRedis(server.url, { installation: 'test', log });
    await waitFor(stranger.isWell, { what: 'the stranger to be connected' });
    redisChannel('revocations', { redis: stranger, secrets: makeSecrets([randomBytes(32)]) }).publish(['victim']);
    for (const message of ['', 'victim', '["victim"]', '{}', 'null', 'x'.repeat(100_000), '\0\n\xff'])
      await stranger.ask((client) => client.publish(channel, message));
    stranger.close();
    for (const link of links) await waitFor(link.isWell, { what: 'Redis to be used' });
    await sayOnly('heard after them');
    await waitFor(() => there().isRevoked(['heard after them']), { what: 'the other node to hear', seconds: 5 });
    for (const node of nodes) assert.equal(await node.isRevoked(['victim', '', '{}', 'null']), false);
  });
});
