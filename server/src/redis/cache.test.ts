import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { type RedisServer, redisServerMissing, startRedisServer } from '../../test/support/redis-server.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import type { Cache } from '../cache.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import { redisCache } from './cache.ts';
import { openRedis, type Redis } from './redis.ts';

const log = pino({ level: 'silent' });
const secrets = makeSecrets([randomBytes(32)]);

describe('the cache in Redis', { skip: redisServerMissing }, () => {
  let server: RedisServer;
  let nodes: Redis[];
  let here: Cache;
  let there: Cache;
  before(async () => {
    server = await startRedisServer();
    nodes = [1, 2].map(() => openRedis(server.url, { installation: 'test', log }));
    const [one, two] = nodes.map((redis) => redisCache({ redis, secrets }));
    [here, there] = [one ?? assert.fail(), two ?? assert.fail()];
    for (const node of nodes) await waitFor(node.isWell, { what: 'the connection to Redis' });
  });
  after(async () => {
    for (const node of nodes) node.close();
    await server.close();
  });

  const keyOf = (name: string) => `postern:{test}:cache:${name}`;
  const read =
    (value: unknown, seconds = 30) =>
    async () => ({ value, seconds });
  const isKept = (name: string) => waitFor(() => server.client().get(keyOf(name)), { what: `${name} to be kept` });
  const keep = async (name: string, value: unknown) => {
    await here.through(name, read(value));
    return isKept(name);
  };

  it('gives every node what one has read, until it is forgotten', async () => {
    await keep('one', { a: [1, null, 'ü'] });
    assert.deepEqual(await there.through('one', read('not asked')), { a: [1, null, 'ü'] });
    await there.forget('one');
    assert.equal(await here.through('one', read('new')), 'new');
  });

  it('does not put back what was read before it was forgotten', async () => {
    const stale = await here.through('raced', async () => {
      // The change commits, and is announced, while this reader still holds what it read before.
      await there.forget('raced');
      return { value: 'stale', seconds: 30 };
    });
    assert.equal(stale, 'stale');
    // What one connection says is carried out in order: the attempt to keep it has been made.
    await nodes[0]?.ask((client) => client.ping());
    assert.equal(await there.through('raced', read('new')), 'new');
  });

  it('does not keep what is nothing, or good for no time', async () => {
    await here.through('nothing', read(undefined));
    await here.through('brief', read('x', 0));
    await nodes[0]?.ask((client) => client.ping());
    assert.deepEqual(await server.client().mGet([keyOf('nothing'), keyOf('brief')]), [null, null]);
  });

  it('S24 shows nothing of what it keeps, and lets each copy go in time', async () => {
    const text = await keep('secretive', { email: 'somebody@cache.example' });
    for (const encoding of ['base64', 'utf8'] as const)
      assert.doesNotMatch(Buffer.from(text, encoding).toString('latin1'), /somebody|secretive/);
    const left = await server.client().pTTL(keyOf('secretive'));
    assert.ok(left > 0 && left <= 30_000, `${left}`);
  });

  it('believes nothing that was not kept by us under that name, now', async () => {
    const admin = await keep('session:admin', { scopes: ['admin'] });
    const strangers = redisCache({ redis: nodes[0] ?? assert.fail(), secrets: makeSecrets([randomBytes(32)]) });
    await strangers.through('session:forged', read({ scopes: ['admin'] }));
    const forged = await isKept('session:forged');
    for (const text of [admin, forged, 'garbage', '{}', JSON.stringify({ scopes: ['admin'] }), 'A'.repeat(100)]) {
      await server.client().set(keyOf('session:mine'), text);
      assert.deepEqual(await here.through('session:mine', read({ scopes: [] })), { scopes: [] }, text);
    }
    const brief = await (async () => {
      await here.through('brief', read('old', 0.5));
      return isKept('brief');
    })();
    await waitFor(async () => (await server.client().get(keyOf('brief'))) === null, { what: 'the copy to end' });
    await server.client().set(keyOf('brief'), brief);
    assert.equal(await here.through('brief', read('new')), 'new', 'a copy that somebody kept aside');
  });

  it('F7 is done without while Redis is flushed, hangs, or is away', async () => {
    await keep('lost', 1);
    await server.flush();
    assert.equal(await here.through('lost', read(2)), 2);
    const before = await server.reads();
    server.freeze();
    try {
      for (let i = 0; i < 100; i++) assert.equal(await here.through('lost', read(i)), i);
      await here.forget('lost');
    } finally {
      server.thaw();
    }
    await waitFor(nodes[0]?.isWell ?? assert.fail(), { what: 'Redis to be used again' });
    const asked = (await server.reads()) - before;
    assert.ok(asked < 50, `one in a second may ask a Redis that does not answer, not ${asked} of 100`);
    await server.kill();
    assert.equal(await here.through('lost', read(3)), 3);
    await server.start();
    for (const node of nodes) await waitFor(node.isWell, { what: 'Redis to be used again' });
    await keep('found', 4);
    assert.equal(await there.through('found', read(5)), 4);
  });
});
