/** Two nodes' view of the signing keys, where their clocks and their reads can be watched (quality S28). */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify, SignJWT } from 'jose';
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

  /** As a version that knows of no RSA key leaves them. */
  const dropRsaKeys = (states: string[]) => database.db`
    UPDATE signing_keys SET rsa_public_jwk = NULL, rsa_private_sealed = NULL WHERE state = ANY(${states})`;

  it('are an EC and an RSA key of each generation, all of which can sign', async () => {
    await rotate();
    const { keys } = await startNode();
    const { current, currentRsa, signing, publicKeys, jwks } = keys.latest();
    const [first, second, ...others] = signing;
    assert.deepEqual(
      signing.map(({ state, alg }) => `${state} ${alg}`),
      ['current ES256', 'current RS256', 'next ES256', 'next RS256', 'retired ES256', 'retired RS256'],
    );
    assert.deepEqual([first?.kid, second?.kid, others.length], [current.kid, currentRsa?.kid, 4]);
    assert.deepEqual(
      jwks.keys.map(({ kid }) => kid),
      signing.map(({ kid }) => kid),
    );
    for (const { kid, alg, privateKey } of signing) {
      const token = await new SignJWT({}).setProtectedHeader({ alg, kid }).sign(privateKey);
      assert.ok(await jwtVerify(token, createLocalJWKSet(jwks)), 'by any library');
      assert.equal(publicKeys.has(kid), alg === 'ES256', 'RSA keys verify no access token');
    }
  });

  it('get the RSA keys that an older version has left out, once, however many keep them', async () => {
    await rotate();
    await dropRsaKeys(['current', 'next', 'retired']);
    const node = await startNode();
    const token = await node.sign();
    assert.equal(node.keys.latest().currentRsa, undefined);
    assert.deepEqual(await Promise.all(Array.from({ length: 4 }, keep)), [undefined, undefined, undefined, undefined]);
    const { currentRsa, signing } = await node.keys.readAgain();
    assert.deepEqual(
      signing.map(({ state, alg }) => `${state} ${alg}`),
      ['current ES256', 'current RS256', 'next ES256', 'next RS256', 'retired ES256'],
    );
    assert.equal(currentRsa?.kid, signing[1]?.kid);
    assert.ok(await node.verify(token));
    await keep();
    assert.equal((await node.keys.readAgain()).currentRsa?.kid, currentRsa?.kid, 'nothing was left to do');
  });

  it('sign ID tokens with the next RSA key, or a retired one, as long as the current generation has none', async () => {
    await rotate();
    const node = await startNode();
    const rsaKid = (state: string) =>
      node.keys.latest().signing.find((key) => key.state === state && key.alg === 'RS256')?.kid;
    const [current, next, retired] = ['current', 'next', 'retired'].map(rsaKid);
    assert.equal(node.keys.latest().currentRsa?.kid, current);
    await dropRsaKeys(['current']);
    assert.equal((await node.keys.readAgain()).currentRsa?.kid, next);
    await dropRsaKeys(['next']);
    assert.equal((await node.keys.readAgain()).currentRsa?.kid, retired);
  });

  it('that SECRET_KEY opens no more sign nothing and stay published, and the current one must open', async () => {
    const [old, newer] = [secrets, makeSecrets([randomBytes(32)])];
    await database.db`DELETE FROM signing_keys`;
    await keepSigningKeys({ db: database.db, secrets: newer, accessTokenSeconds: 3_600, signingKeyDays: 90 });
    await database.db`UPDATE signing_keys SET retired_at = now() WHERE state = 'current'`;
    await database.db`UPDATE signing_keys SET activated_at = now() WHERE state = 'next'`;
    await assert.rejects(followSigningKeys({ db: database.db, secrets: old, log }), /SECRET_KEY/);
    await database.db`DELETE FROM signing_keys WHERE state = 'current'`;
    await keep();
    const { signing, jwks, publicKeys } = (await startNode()).keys.latest();
    assert.deepEqual([...new Set(signing.map(({ state }) => state))], ['current', 'next']);
    assert.equal(jwks.keys.length, 6);
    assert.equal(publicKeys.size, 3);
  });

  it('S28 are removed with the other of their generation, by either kid', async () => {
    await rotate();
    const node = await startNode();
    const world = { db: database.db, secrets };
    for (const [state, alg] of [
      ['retired', 'RS256'],
      ['next', 'RS256'],
      ['current', 'ES256'],
      ['current', 'RS256'],
    ]) {
      const { signing } = await node.keys.readAgain();
      const gone = signing.filter((key) => key.state === state).map(({ kid }) => kid);
      const named = signing.find((key) => key.state === state && key.alg === alg);
      const removal = await removeSigningKey(world, named?.kid ?? '');
      assert.deepEqual([removal.removed, removal.removed_rsa], gone);
      const { jwks, current, currentRsa } = await node.keys.readAgain();
      assert.ok(!jwks.keys.some(({ kid }) => gone.includes(kid)));
      assert.equal(jwks.keys.length, 4);
      assert.deepEqual([current.kid, currentRsa?.kid], [removal.current, jwks.keys[1]?.kid]);
    }
  });

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
    assert.equal(node.keys.latest().jwks.keys.length, 4, 'what others verify by stays');
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
