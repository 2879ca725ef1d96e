/** Two nodes over one Redis that is flushed, frozen and killed: it holds copies, and loses nothing (quality S22, S24, F7). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase, type Database } from '../../src/database/database.ts';
import { type Browser, openBrowser } from '../support/browser.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type RedisServer, redisServerMissing, startRedisServer } from '../support/redis-server.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

describe('with Redis beside PostgreSQL', { skip: redisServerMissing }, () => {
  let redis: RedisServer;
  let one: Postern;
  let two: Postern;
  let db: Database;
  let count = 0;
  before(async () => {
    redis = await startRedisServer();
    one = await startPostern({ env: { REDIS_URL: redis.url } });
    const PUBLIC_URL = `http://localhost:${one.port}`;
    two = await startPostern({ dataDir: one.dataDir, env: { REDIS_URL: redis.url, PUBLIC_URL } });
    db = connectDatabase(await databaseUrlOf(one), { max: 1, name: 'postern test' });
    await bothUseIt();
  });
  after(async () => {
    redis.thaw();
    await db.end();
    await two.dispose();
    await one.dispose();
    await redis.close();
  });

  const usesIt = (node: Postern) =>
    waitFor(async () => (await node.call('GET', '/readyz')).body.checks.redis.ok, { what: 'Redis to be used' });
  const bothUseIt = () => Promise.all([usesIt(one), usesIt(two)]);
  const me = (node: Postern, token: string) => node.call('GET', '/auth/me', { token });
  async function newcomer() {
    const email = `user${++count}@redis.example`;
    const { status, body } = await one.call('POST', '/auth/register', { json: { email, password } });
    assert.equal(status, 201);
    const token: string = body.token.access_token;
    const refreshToken: string = body.token.refresh_token;
    return { email, uuid: body.user.uuid as string, token, refreshToken };
  }
  async function administrator(): Promise<string> {
    const email = `admin${++count}@redis.example`;
    await one.cli('users', 'create', '--email', email, '--password', password, '--admin');
    return (await one.call('POST', '/login', { json: { email, password } })).body.token.access_token;
  }
  /** Signed in on a page of the first node; the cookie is good at both. */
  async function signedIn(email: string) {
    const browser = openBrowser();
    const page = await browser.open(`${one.url}/sign-in`, { form: { email, password } });
    assert.ok(page.url.endsWith('/account'), page.text);
    const [cookie = ''] = [...(browser.cookies.get(new URL(one.url).host)?.values() ?? [])];
    browser.cookies.set(new URL(two.url).host, new Map(browser.cookies.get(new URL(one.url).host)));
    return { browser, cookie, sessionId: cookie.split('.')[0] ?? '' };
  }
  const isIn = async (browser: Browser, node: Postern) =>
    (await browser.open(`${node.url}/account`)).url.endsWith('/account');
  const keyOf = async (name: string) => {
    const keys = await redis.client().keys(`postern:*:cache:${name}`);
    return keys[0];
  };
  const isKept = (name: string) => waitFor(() => keyOf(name), { what: `a copy of ${name} in Redis` });
  const deadAt = (node: Postern, token: string) =>
    waitFor(async () => (await me(node, token)).status === 401, { what: 'the token to be refused', seconds: 5 });
  async function deadEverywhere(token: string) {
    await deadAt(one, token);
    await deadAt(two, token);
  }

  it('is not asked twice: what one node has read the other uses, and pages note a use now and then', async () => {
    const { email, uuid, token } = await newcomer();
    const { browser, sessionId } = await signedIn(email);
    assert.equal((await me(one, token)).status, 200);
    await isKept(`user:${uuid}`);
    await isKept(`session:${sessionId}`);
    const [before] = await db`SELECT refreshed_at FROM sessions WHERE id = ${sessionId}`;
    await db`UPDATE users SET name = 'behind the back' WHERE id = ${uuid}`;
    assert.equal((await me(two, token)).body.name, null);
    assert.ok(await isIn(browser, two));
    const [after] = await db`SELECT refreshed_at FROM sessions WHERE id = ${sessionId}`;
    assert.deepEqual(after, before);
  });

  it('a change is seen on both nodes at once', async () => {
    const { email, uuid, token } = await newcomer();
    assert.equal((await me(one, token)).body.email_verified, false);
    await isKept(`user:${uuid}`);
    const proof = proofIn(await letterTo(one, email));
    assert.equal((await one.call('POST', '/auth/verify', { json: { token: proof.token } })).status, 200);
    for (const node of [two, one]) assert.equal((await me(node, token)).body.email_verified, true);
  });

  it('a change of address is, too', async () => {
    const { email, uuid, token } = await newcomer();
    assert.equal((await me(one, token)).body.email, email);
    await isKept(`user:${uuid}`);
    const other = `other-${email}`;
    await two.call('POST', '/auth/email/change', { token, json: { email: other, password } });
    const { text } = await letterTo(one, other);
    const json = { token: /confirm\?token=([\w-]+)/.exec(text)?.[1] };
    assert.equal((await two.call('POST', '/auth/email/confirm', { json })).status, 204);
    for (const node of [one, two]) assert.equal((await me(node, token)).body.email, other);
  });

  it('and what an administrator says of a user', async () => {
    const { uuid, token } = await newcomer();
    const boss = await administrator();
    assert.equal((await me(two, token)).body.email_verified, false);
    await isKept(`user:${uuid}`);
    assert.equal((await one.call('POST', `/users/${uuid}/verify`, { token: boss })).status, 200);
    for (const node of [two, one]) assert.equal((await me(node, token)).body.email_verified, true);
  });

  it('and what a new password by letter proves', async () => {
    const { email, uuid, token } = await newcomer();
    assert.equal((await me(two, token)).body.email_verified, false);
    await isKept(`user:${uuid}`);
    await one.call('POST', '/auth/password/forgot', { json: { email } });
    const { text } = await letterTo(one, email, (letter) => letter.text.includes('/auth/password/reset?token='));
    const json = { token: /reset\?token=([\w-]+)/.exec(text)?.[1], password: 'Another@123' };
    assert.equal((await one.call('POST', '/auth/password/reset', { json })).status, 204);
    const login = await one.call('POST', '/login', { json: { email, password: 'Another@123' } });
    for (const node of [two, one])
      assert.equal((await me(node, login.body.token.access_token)).body.email_verified, true);
  });

  it('and that somebody has shown again who it is', async () => {
    const { email } = await newcomer();
    const { browser, sessionId } = await signedIn(email);
    await redis.client().del(await isKept(`session:${sessionId}`));
    await db`UPDATE sessions SET authenticated_at = now() - interval '16 minutes' WHERE id = ${sessionId}`;
    const askForFactor = async (node: Postern) =>
      (await browser.open(`${node.url}/account/authenticator`, { form: {} })).url.endsWith('/account/step-up');
    assert.ok(await askForFactor(two));
    await isKept(`session:${sessionId}`);
    await browser.open(`${one.url}/account/step-up/password`, { form: { password } });
    for (const node of [two, one]) assert.equal(await askForFactor(node), false);
  });

  it('and that a right was taken away', async () => {
    const { email, uuid } = await newcomer();
    const boss = await administrator();
    await one.call('PUT', '/roles/reader', { token: boss, json: { scopes: ['users:read'] } });
    assert.equal((await one.call('PUT', `/users/${uuid}/roles/reader`, { token: boss })).status, 204);
    const { browser, sessionId } = await signedIn(email);
    const key = await isKept(`session:${sessionId}`);
    assert.equal((await one.call('DELETE', `/users/${uuid}/roles/reader`, { token: boss })).status, 204);
    const isDropped = async () => (await isIn(browser, two)) && (await redis.client().get(key)) === '';
    await waitFor(isDropped, { what: 'the copy with the right to be dropped', seconds: 5 });
  });

  it('S22 a session that ended is not brought back by a copy that comes late', async () => {
    const { email } = await newcomer();
    const { browser, sessionId } = await signedIn(email);
    assert.ok(await isIn(browser, two));
    const key = await isKept(`session:${sessionId}`);
    const copy = (await redis.client().get(key)) ?? assert.fail();
    const { token } = (await one.call('POST', '/login', { json: { email, password } })).body;
    assert.equal(
      (await one.call('POST', '/logout', { token: token.access_token, json: { everywhere: true } })).status,
      204,
    );
    // As a reader would that was slow.
    await redis.client().set(key, copy);
    assert.equal(await isIn(browser, one), false);
    await waitFor(async () => !(await isIn(browser, two)), { what: 'the other node to know', seconds: 5 });
  });

  it('S24 Redis holds nothing that could be used or that says who somebody is', async () => {
    const { email, token, refreshToken, uuid } = await newcomer();
    const { cookie, sessionId } = await signedIn(email);
    await me(one, token);
    await isKept(`user:${uuid}`);
    await isKept(`session:${sessionId}`);
    const client = redis.client();
    for (const key of await client.keys('*')) {
      const held = `${key} ${await client.get(key)}`;
      const plain = held + Buffer.from(held, 'base64').toString('latin1');
      for (const secret of [email, token, refreshToken, cookie, cookie.split('.')[1] ?? ''])
        assert.ok(!plain.includes(secret), key);
    }
  });

  it('S22 F7 flushed: nobody is logged out, and who was stays so', async () => {
    const [gone, stays] = [await newcomer(), await newcomer()];
    const { browser } = await signedIn(stays.email);
    await one.call('POST', '/logout', { token: gone.token });
    await deadEverywhere(gone.token);
    await redis.flush();
    for (const node of [one, two]) {
      assert.equal((await me(node, gone.token)).status, 401);
      assert.equal((await me(node, stays.token)).status, 200);
      assert.ok(await isIn(browser, node));
    }
  });

  it('S22 F7 frozen: requests go on, and a revocation reaches the other node all the same', async () => {
    const [gone, stays] = [await newcomer(), await newcomer()];
    const { browser } = await signedIn(stays.email);
    const before = await redis.reads();
    redis.freeze();
    try {
      for (let i = 0; i < 100; i++) assert.equal((await me(one, stays.token)).status, 200);
      assert.ok(await isIn(browser, two));
      await one.call('POST', '/logout', { token: gone.token });
      await deadEverywhere(gone.token);
      const ready = await one.call('GET', '/readyz');
      assert.deepEqual([ready.status, ready.body.status], [200, 'degraded']);
    } finally {
      redis.thaw();
    }
    await bothUseIt();
    const asked = (await redis.reads()) - before;
    assert.ok(asked < 50, `one request in a second may wait for Redis, not ${asked} of 100`);
    assert.equal(one.output().match(/REDIS_URL\) cannot be reached/g)?.length, 1);
  });

  it('S22 F7 killed: disabling and deleting reach the other node, and hold after every process was started anew', async () => {
    const boss = await administrator();
    const people = [await newcomer(), await newcomer(), await newcomer(), await newcomer()] as const;
    const [loggedOut, disabled, deleted, stays] = people;
    const { browser, sessionId } = await signedIn(stays.email);
    const { browser: disabledBrowser } = await signedIn(disabled.email);
    for (const { token } of people) assert.equal((await me(two, token)).status, 200);
    await isKept(`session:${sessionId}`);

    assert.equal((await one.call('POST', '/logout', { token: loggedOut.token })).status, 204);
    assert.equal((await one.call('POST', `/users/${disabled.uuid}/disable`, { token: boss })).status, 200);
    await redis.kill();
    assert.equal((await one.call('DELETE', `/users/${deleted.uuid}`, { token: boss })).status, 204);
    for (const { token } of [loggedOut, disabled, deleted]) await deadEverywhere(token);

    await Promise.all([one.kill(), two.kill()]);
    await redis.start();
    one = await one.restart();
    two = await two.restart();
    await bothUseIt();
    for (const node of [one, two]) {
      for (const { token } of [loggedOut, disabled, deleted]) assert.equal((await me(node, token)).status, 401);
      assert.equal((await me(node, stays.token)).status, 200);
      assert.ok(await isIn(browser, node));
      assert.equal(await isIn(disabledBrowser, node), false);
    }
  });
});
