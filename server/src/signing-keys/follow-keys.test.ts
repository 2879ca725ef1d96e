/** Two nodes' view of the signing keys, where their clocks and their reads can be watched (quality S28). */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { makeTokenSigner, makeTokenVerifier } from '../crypto/access-tokens.ts';
import { makeSecrets, type Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { followSigningKeys } from './follow-keys.ts';
import { keepSigningKeys } from './keep-keys.ts';
import { removeSigningKey } from './remove-key.ts';
import { rotateSigningKeys } from './rotate-keys.ts';
import { readKeys } from './store.ts';

const publicUrl = 'https://id.example.com';
const log = pino({ level: 'silent' });
// It never looks by itself while a test lasts.
const onlyWhenAsked = { pollMs: 3_600_000, freshMs: 3_600_000, againMs: 1_000 };

describe('the signing keys as a node follows them', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let secrets: Secrets;
  let nodes: { stop: () => void }[];
  let server: typeof database;
  before(async () => {
    secrets = makeSecrets([randomBytes(32)]);
    server = await testDatabase(); // which runs for as long as one of its databases is open
  });
  after(() => server.close());
  beforeEach(async () => {
    database = await testDatabase();
    nodes = [];
    await keep();
  });
  afterEach(async () => {
    for (const node of nodes) node.stop();
    await database.close();
  });

  const keep = () => keepSigningKeys({ db: database.db, secrets, accessTokenSeconds: 3_600, signingKeyDays: 90 });
  const rotate = () => rotateSigningKeys({ db: database.db, secrets }, { isForced: true });
  async function startNode({ db = database.db, pace = onlyWhenAsked } = {}) {
    const keys = await followSigningKeys({ db, secrets, log }, pace);
    nodes.push(keys);
    const subject = { sub: 'someone', clientId: 'postern', scope: 'basic', tenant: 'default', lifetimeSeconds: 60 };
    const { verify } = makeTokenVerifier({ keys, publicUrl });
    return { keys, verify, sign: () => makeTokenSigner({ keys, publicUrl }).sign(subject) };
  }
  /** Passes everything on and counts what is asked, for there is no other way to see that nothing was. */
  function counted(db: Database): { db: Database; count: () => number } {
    let count = 0;
    const apply = (target: Database, self: unknown, parts: unknown[]) => {
      count++;
      return Reflect.apply(target as unknown as () => unknown, self, parts);
    };
    return { db: new Proxy(db, { apply }), count: () => count };
  }
  function forgedToken(): string {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${part({ alg: 'ES256', typ: 'at+jwt', kid: randomBytes(32).toString('base64url') })}.${part({})}`;
    const key = createPrivateKey({ key: privateKey.export({ format: 'jwk' }), format: 'jwk' });
    return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  it('S28 are read again for a token of a key that was never published before it signed', async () => {
    const late = await startNode();
    const before = await late.sign();
    for (let times = 0; times < 3; times++) {
      await rotate();
      await rotate();
      const other = await startNode();
      const token = await other.sign();
      assert.ok(!late.keys.latest().publicKeys.has(other.keys.latest().current.kid), 'news to it');
      assert.ok(await late.verify(token), 'at once, or as soon as it may read again');
    }
    assert.ok(await late.verify(before));
  });

  it('S25 are read once a second at most, however many tokens of made-up keys arrive', async () => {
    const { db, count } = counted(database.db);
    const node = await startNode({ db });
    const good = await node.sign();
    const startedAt = performance.now();
    for (let round = 0; round < 3; round++) {
      const verified = await Promise.all(Array.from({ length: 100 }, () => node.verify(forgedToken())));
      assert.ok(verified.every((claims) => claims === undefined));
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    const reads = count() - 1;
    assert.ok(reads >= 1 && reads <= 1 + seconds, `${reads} reads in ${seconds} s`);

    const beforeNonsense = count();
    for (const kid of ['x', 7, null, {}, 'x'.repeat(44)]) {
      const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })).toString('base64url');
      assert.equal(await node.verify(`${header}.${good.split('.').slice(1).join('.')}`), undefined);
    }
    assert.ok(await node.verify(good));
    assert.equal(count(), beforeNonsense, 'no read for what cannot be a key of ours');
  });

  it('S28 that cannot be read for too long verify and sign nothing, for one may have been removed', async () => {
    const other = await testDatabase();
    await keepSigningKeys({ db: other.db, secrets, accessTokenSeconds: 3_600, signingKeyDays: 90 });
    const node = await startNode({ db: other.db, pace: { pollMs: 20, freshMs: 200, againMs: 20 } });
    const token = await node.sign();
    assert.ok(await node.verify(token), 'remembered from now on');
    await other.close();
    const refuses = (work: () => Promise<unknown>) =>
      waitFor(
        () =>
          work().then(
            () => false,
            () => true,
          ),
        { what: 'the node to refuse', seconds: 10 },
      );
    await refuses(() => node.verify(token));
    await refuses(node.sign);
    assert.equal(node.keys.latest().jwks.keys.length, 2, 'what others verify by stays');
  });

  it('S28 are not brought back by a read that began before a removal and ends after the next one', async () => {
    const answered = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let isNextHeld = false;
    const apply = async (target: Database, self: unknown, parts: unknown[]) => {
      const isHeld = isNextHeld;
      isNextHeld = false;
      const answer = await Reflect.apply(target as unknown as () => Promise<unknown>, self, parts);
      if (isHeld) answered.resolve();
      if (isHeld) await released.promise;
      return answer;
    };
    const node = await startNode({ db: new Proxy(database.db, { apply }), pace: { ...onlyWhenAsked, againMs: 0 } });
    const token = await node.sign();
    isNextHeld = true;
    const late = node.keys.readAgain();
    await answered.promise;
    await removeSigningKey({ db: database.db, secrets }, 'current');
    await node.keys.readAgain();
    assert.equal(await node.verify(token), undefined);
    released.resolve();
    await late;
    assert.equal(await node.verify(token), undefined);
  });

  it('S28 are polled: a removed key ends where its token is remembered, on nodes that nobody tells', async () => {
    const node = await startNode({ pace: { ...onlyWhenAsked, pollMs: 50 } });
    const token = await node.sign();
    assert.ok(await node.verify(token));
    await removeSigningKey({ db: database.db, secrets }, 'current');
    await waitFor(async () => (await node.verify(token)) === undefined, { what: 'the token to be refused' });
    assert.equal(await node.verify(token), undefined, 'and it is not taken up again');
    assert.ok(await node.verify(await node.sign()));
  });

  it('S28 stay one current and one next however many rotate, remove and keep at once', async () => {
    const world = { db: database.db, secrets };
    await database.db`UPDATE signing_keys SET created_at = now() - interval '1 day',
                                              activated_at = activated_at - interval '91 days'`;
    const acts = await Promise.allSettled([
      ...Array.from({ length: 4 }, keep),
      ...Array.from({ length: 4 }, () => rotateSigningKeys(world, { isForced: false })),
    ]);
    const states = async () => (await readKeys(database.db)).map(({ state }) => state);
    assert.deepEqual(await states(), ['current', 'next', 'retired'], 'they were due once, so they moved once');
    const refused = acts.flatMap((act) => (act.status === 'rejected' ? [act.reason.code] : []));
    assert.ok(refused.length >= 3 && refused.every((code) => code === 'signing_keys.next_too_new'), String(refused));
    await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 ? rotate() : removeSigningKey(world, 'current'))));
    assert.deepEqual((await states()).slice(0, 3), ['current', 'next', 'retired']);
    const twice = database.db`UPDATE signing_keys SET activated_at = now(), retired_at = NULL`;
    await assert.rejects(twice, /signing_keys_one_of_a_kind/, 'the database holds it too');
  });
});
