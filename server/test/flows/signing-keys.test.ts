/** The keys that sign tokens, from their first to their last day, on two nodes of one database (quality S28). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import pino from 'pino';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;

describe('signing keys', () => {
  let one: Postern;
  let two: Postern;
  let database: OpenDatabase;
  const secretKey = randomBytes(32).toString('base64');
  before(async () => {
    one = await startPostern({ env: { SECRET_KEY: secretKey } });
    const env = { SECRET_KEY: secretKey, PUBLIC_URL: `http://localhost:${one.port}` };
    two = await startPostern({ dataDir: one.dataDir, env });
    const where = { databaseUrl: undefined, dataDir: one.dataDir };
    database = await openDatabase(where, pino({ level: 'silent' }), { max: 2, name: 'postern test' });
  });
  after(async () => {
    await database.close();
    await two.dispose();
    await one.dispose();
  });

  let count = 0;
  /** A user's tokens, made by that node. */
  async function newTokens(node: Postern): Promise<{ access_token: string; refresh_token: string }> {
    const reply = await node.call('POST', '/register', { json: { username: `user${++count}`, password } });
    assert.equal(reply.status, 201, reply.text);
    return reply.body.token;
  }
  const newToken = async (node: Postern) => (await newTokens(node)).access_token;
  const me = async (node: Postern, token: string) => (await node.call('GET', '/auth/me', { token })).status;
  const onBoth = async (token: string) => [await me(one, token), await me(two, token)];
  async function published(node: Postern, alg: string): Promise<string> {
    const keys: { kid: string; alg: string }[] = (await node.call('GET', '/.well-known/jwks.json')).body.keys;
    return String(keys.filter((key) => key.alg === alg).map(({ kid }) => kid));
  }
  /** Those EC keys, and the RSA key of each. */
  async function bothPublish(kids: string[]): Promise<void> {
    const rsaKids = (await list()).map(({ rsa_kid }) => rsa_kid);
    assert.ok(rsaKids.every(Boolean) && rsaKids.length === kids.length);
    const isPublished = async (node: Postern) =>
      (await published(node, 'ES256')) === String(kids) && (await published(node, 'RS256')) === String(rsaKids);
    await waitFor(async () => (await isPublished(one)) && (await isPublished(two)), {
      what: `both nodes to publish ${kids} and ${rsaKids}`,
    });
  }
  async function cli(...args: string[]) {
    const { code, stdout, stderr } = await one.cli(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }
  const list = async (): Promise<{ kid: string; rsa_kid: string; state: string }[]> => cli('signing-keys', 'list');
  const states = async () => (await list()).map(({ state }) => state);
  const kids = async () => (await list()).map(({ kid }) => kid);
  const ageNext = () =>
    database.db`UPDATE signing_keys SET created_at = created_at - interval '1 hour' WHERE state = 'next'`;
  const audited = async (type: string) =>
    (await database.db`SELECT data FROM audit_events WHERE type = ${type} ORDER BY id`).map(({ data }) => data);

  it('S28 rotate once the next was published long enough: old tokens stay good, both keys are published', async () => {
    assert.deepEqual(await states(), ['current', 'next']);
    const [first, second] = await kids();
    const firstRsa = (await list())[0]?.rsa_kid;
    await bothPublish([String(first), String(second)]);
    const { headers } = await one.call('GET', '/.well-known/jwks.json');
    assert.equal(headers.get('cache-control'), 'public, max-age=30', 'a removed key is forgotten within a minute');
    const old = await newToken(one);
    assert.equal(kidOf(old), first);

    const early = await one.cli('keys', 'rotate');
    assert.equal(early.code, 1);
    assert.match(early.stderr, /published \d+ s ago.+ in 15 min; --now/);
    assert.deepEqual(await kids(), [first, second], 'nothing changed');

    await ageNext();
    const rotation = await cli('keys', 'rotate');
    assert.deepEqual([rotation.retired, rotation.current], [first, second]);
    await bothPublish([rotation.current, rotation.next, rotation.retired]);
    assert.equal((await list())[2]?.rsa_kid, firstRsa, 'ID tokens signed before stay good as well');
    for (const node of [one, two]) {
      const token = await newToken(node);
      assert.equal(kidOf(token), second);
      assert.deepEqual(await onBoth(token), [200, 200]);
    }
    assert.deepEqual(await onBoth(old), [200, 200]);
    const jwks = createRemoteJWKSet(new URL(`${two.url}/.well-known/jwks.json`));
    assert.ok(await jwtVerify(old, jwks), 'by any library');
    assert.deepEqual(await audited('signing_key.rotated'), [rotation]);
    assert.equal((await one.cli('keys', 'list', '--json')).stdout.trim(), '[]', 'those are the API keys');
  });

  it('S28 that are removed take their tokens with them, on the other node too and where they are remembered', async () => {
    const { access_token: doomed, refresh_token } = await newTokens(one);
    assert.deepEqual(await onBoth(doomed), [200, 200]);
    const [stolen, next] = await kids();
    const removal = await cli('signing-keys', 'remove', 'current');
    assert.deepEqual([removal.removed, removal.current], [stolen, next]);
    for (const node of [one, two]) {
      await waitFor(async () => (await me(node, doomed)) === 401, { what: 'a node to refuse the token', seconds: 60 });
    }
    const nowPublished = await kids();
    assert.ok(!nowPublished.includes(String(stolen)));
    await bothPublish(nowPublished);

    const refreshed = await two.call('POST', '/auth/refresh', { json: { refresh_token } });
    assert.equal(refreshed.status, 200, 'the session goes on');
    assert.equal(kidOf(refreshed.body.token.access_token), next);
    assert.deepEqual(await onBoth(refreshed.body.token.access_token), [200, 200]);
    assert.deepEqual(await onBoth(doomed), [401, 401]);
    assert.deepEqual(await audited('signing_key.removed'), [removal]);

    const again = await one.cli('signing-keys', 'remove', '--', String(stolen));
    assert.equal(again.code, 1);
    assert.match(again.stderr, /There is no signing key/);
    const rsaKid = (await list())[1]?.rsa_kid;
    const { code, stdout } = await one.cli('signing-keys', 'remove', '--json', '--', String(rsaKid));
    assert.equal(code, 0);
    const { removed, removed_rsa, current } = JSON.parse(stdout);
    assert.deepEqual([removed, removed_rsa], [removal.next, rsaKid], 'both of the next, where one is known');
    assert.equal(current, next);
    await bothPublish(await kids());
  });

  it('S28 rotate by themselves after SIGNING_KEY_DAYS, and retired ones go when their last token has ended', async () => {
    const token = await newToken(two);
    const [current, next] = await kids();
    await database.db`UPDATE signing_keys SET activated_at = activated_at - interval '91 days' WHERE state = 'current'`;
    await database.db`UPDATE signing_keys SET retired_at = now() - interval '1 hour' WHERE state = 'retired'`;
    await two.stop();
    two = await two.restart();
    assert.equal((await kids())[0], current, 'the next one is not known everywhere yet');
    assert.equal((await states()).filter((state) => state === 'retired').length, 1, 'a token may still live');

    await ageNext();
    await database.db`UPDATE signing_keys SET retired_at = now() - interval '63 minutes' WHERE state = 'retired'`;
    await two.stop();
    two = await two.restart();
    assert.deepEqual(await states(), ['current', 'next', 'retired']);
    const [signs, , retired] = await kids();
    assert.deepEqual([signs, retired], [next, current]);
    await bothPublish(await kids());
    assert.equal(kidOf(await newToken(one)), next, 'without a restart of this one');
    assert.deepEqual(await onBoth(token), [200, 200]);
  });

  it('S28 rotate once when several are told to at the same time', async () => {
    await ageNext();
    const all = await Promise.all(Array.from({ length: 3 }, () => one.cli('keys', 'rotate', '--json')));
    assert.deepEqual(all.map(({ code }) => code).sort(), [0, 1, 1]);
    assert.deepEqual(await states(), ['current', 'next', 'retired', 'retired']);
  });

  it('S28 that sign at once by --now are known to every node when their first token comes', async () => {
    await cli('signing-keys', 'rotate', '--now');
    const rotation = await cli('signing-keys', 'rotate', '--now');
    const token = await waitFor(
      async () => {
        const token = await newToken(one);
        return kidOf(token) === rotation.current && token;
      },
      { what: 'the new key to sign' },
    );
    assert.deepEqual(await onBoth(token), [200, 200]);
  });

  it('get an RSA key at the next start where an older version has left it out, on the node that runs as well', async () => {
    const token = await newToken(one);
    await database.db`
      UPDATE signing_keys SET rsa_public_jwk = NULL, rsa_private_sealed = NULL WHERE state IN ('current', 'next')`;
    const [current] = await list();
    assert.deepEqual([current?.state, current?.rsa_kid], ['current', null]);
    await two.stop();
    two = await two.restart();
    await bothPublish(await kids());
    assert.equal((await kids())[0], current?.kid);
    assert.deepEqual(await onBoth(token), [200, 200]);
  });

  it('outlive a change of SECRET_KEY, and take nothing sealed under one that the nodes do not have', async () => {
    const token = await newToken(one);
    const foreign = randomBytes(32).toString('base64');
    const before = await kids();
    one.env.SECRET_KEY = foreign;
    for (const args of [
      ['keys', 'rotate', '--now'],
      ['signing-keys', 'remove', 'next'],
    ]) {
      const { code, stderr } = await one.cli(...args);
      assert.equal(code, 1);
      assert.match(stderr, /SECRET_KEY/);
    }
    one.env.SECRET_KEY = secretKey;
    assert.deepEqual(await kids(), before);

    const newer = randomBytes(32).toString('base64');
    const restart = async (SECRET_KEY: string) => {
      await Promise.all([one.stop(), two.stop()]);
      one = await one.restart({ SECRET_KEY });
      two = await two.restart({ SECRET_KEY });
    };
    await restart(`${newer},${secretKey}`);
    assert.deepEqual(await onBoth(token), [200, 200]);
    await cli('keys', 'rotate', '--now');
    await cli('keys', 'rotate', '--now');
    await restart(newer);
    assert.deepEqual(await onBoth(token), [200, 200], 'a retired key needs no private part');
    assert.deepEqual(await onBoth(await newToken(two)), [200, 200]);
  });
});
