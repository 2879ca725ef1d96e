/** Sessions over their life, on two nodes of one database (quality S20–S23). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

describe('sessions', () => {
  let one: Postern;
  let two: Postern;
  before(async () => {
    one = await startPostern();
    // The second node takes its place behind the same name, so tokens of either are good at both.
    two = await startPostern({ dataDir: one.dataDir, env: { PUBLIC_URL: `http://localhost:${one.port}` } });
  });
  after(async () => {
    await two.dispose();
    await one.dispose();
  });

  let count = 0;
  async function newcomer() {
    const email = `user${++count}@sessions.example`;
    const { status, body } = await one.call('POST', '/auth/register', { json: { email, password } });
    assert.equal(status, 201);
    return { email, user: body.user, token: body.token };
  }
  const login = async (email: string) => (await one.call('POST', '/login', { json: { email, password } })).body.token;
  const refresh = (node: Postern, refresh_token: string) =>
    node.call('POST', '/auth/refresh', { json: { refresh_token } });
  const me = async (node: Postern, token: string) => (await node.call('GET', '/auth/me', { token })).status;
  const deadEverywhere = async (token: string) => {
    assert.equal(await me(one, token), 401);
    await waitFor(async () => (await me(two, token)) === 401, {
      what: 'the other node to refuse the token',
      seconds: 5,
    });
  };

  it('S21 20 parallel refreshes on two nodes make one child', async () => {
    const { token } = await newcomer();
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => refresh(i % 2 ? one : two, token.refresh_token)),
    );
    assert.ok(replies.every(({ status }) => status === 200));
    assert.equal(new Set(replies.map(({ body }) => body.token.refresh_token)).size, 1);
    const ids = replies.map(({ body }) => JSON.stringify(claimsOf(body.token.access_token)));
    assert.equal(new Set(ids).size, 1, 'access tokens with the same claims');
    assert.equal((await refresh(two, replies[0]?.body.token.refresh_token)).status, 200);
  });

  it('S20 a grandparent kills the session, also within the grace', async () => {
    const { token: first } = await newcomer();
    const second = (await refresh(one, first.refresh_token)).body.token;
    const third = (await refresh(one, second.refresh_token)).body.token;
    assert.equal(await me(two, third.access_token), 200);
    const reused = await refresh(one, first.refresh_token);
    assert.deepEqual([reused.status, reused.body.code], [401, 'auth.invalid_refresh_token']);
    assert.equal((await refresh(two, third.refresh_token)).status, 401);
    await deadEverywhere(third.access_token);
  });

  it('S20 the token before the newest is good again for ten seconds; later it kills the session', async () => {
    const { token: first } = await newcomer();
    const second = (await refresh(one, first.refresh_token)).body.token;
    assert.equal((await refresh(two, first.refresh_token)).body.token.refresh_token, second.refresh_token);
    const db = connectDatabase(await databaseUrlOf(one), { max: 1, name: 'postern test' });
    const { sid } = claimsOf(second.access_token);
    await db`UPDATE sessions SET refreshed_at = refreshed_at - interval '11 seconds' WHERE id = ${sid}`;
    await db.end();
    assert.equal((await refresh(one, first.refresh_token)).status, 401);
    assert.equal((await refresh(two, second.refresh_token)).status, 401);
    await deadEverywhere(second.access_token);
  });

  it('S22 a login by the former password, under way while it is changed, opens nothing that lasts', async () => {
    const { email, token } = await newcomer();
    const logins = Promise.all(
      Array.from({ length: 40 }, () => two.call('POST', '/login', { json: { email, password } })),
    );
    const json = { current_password: password, new_password: 'Another@123' };
    const changed = await one.call('POST', '/auth/password/change', { token: token.access_token, json });
    assert.equal(changed.status, 204);
    for (const { status, body } of await logins) {
      if (status === 200) await deadEverywhere(body.token.access_token);
      else assert.ok(status === 401 || status === 429, `${status}`);
    }
  });

  it('refuses refresh tokens that were made up or bent', async () => {
    const { token } = await newcomer();
    const good = token.refresh_token;
    const flip = (at: number) => good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1);
    for (const bad of [
      '',
      'rt_',
      `${good}A`,
      good.slice(0, -1),
      flip(10),
      flip(28),
      flip(40),
      token.access_token.slice(0, 200),
    ]) {
      assert.equal((await refresh(one, bad)).status, 401, bad);
    }
    assert.equal((await refresh(one, good)).status, 200);
  });

  it('S22 logout is effective on both nodes, here or everywhere', async () => {
    const { email, token } = await newcomer();
    const other = await login(email);
    assert.equal((await one.call('POST', '/auth/logout', { token: token.access_token })).status, 204);
    await deadEverywhere(token.access_token);
    assert.equal((await refresh(two, token.refresh_token)).status, 401);
    assert.equal(await me(two, other.access_token), 200);

    const third = await login(email);
    const all = await one.call('POST', '/logout', { token: third.access_token, json: { everywhere: true } });
    assert.equal(all.status, 204);
    await deadEverywhere(other.access_token);
    await deadEverywhere(third.access_token);
  });

  it('lists live sessions and ends one, but never a stranger’s', async () => {
    const { email, token } = await newcomer();
    const other = await login(email);
    const stranger = await newcomer();
    const list = await one.call('GET', '/auth/sessions', { token: token.access_token });
    assert.equal(list.body.data.length, 2);
    assert.deepEqual(
      list.body.data.map((session: { current: boolean }) => session.current),
      [false, true],
    );
    const { sid } = claimsOf(other.access_token);
    const foreign = await one.call('DELETE', `/auth/sessions/${sid}`, { token: stranger.token.access_token });
    const absent = await one.call('DELETE', `/auth/sessions/${crypto.randomUUID()}`, {
      token: stranger.token.access_token,
    });
    assert.deepEqual([foreign.status, foreign.body.code], [404, absent.body.code]);
    assert.equal((await one.call('DELETE', `/auth/sessions/${sid}`, { token: token.access_token })).status, 204);
    await deadEverywhere(other.access_token);
    assert.equal(await me(one, token.access_token), 200);
  });

  it('a new password ends every other session, and only the old password stops working', async () => {
    const { email, token } = await newcomer();
    const other = await login(email);
    const change = (current_password: string) =>
      one.call('POST', '/auth/password/change', {
        token: token.access_token,
        json: { current_password, new_password: 'Another@123' },
      });
    assert.equal((await change('wrong')).status, 401);
    assert.equal((await change(password)).status, 204);
    await deadEverywhere(other.access_token);
    assert.equal(await me(two, token.access_token), 200);
    assert.equal((await one.call('POST', '/login', { json: { email, password } })).status, 401);
    assert.equal((await one.call('POST', '/login', { json: { email, password: 'Another@123' } })).status, 200);
  });

  it('S22 a deleted user is dead on both nodes, and stays so', async () => {
    const { user, email, token } = await newcomer();
    assert.equal((await one.call('DELETE', `/users/${user.uuid}`, { token: token.access_token })).status, 204);
    await deadEverywhere(token.access_token);
    assert.equal((await refresh(two, token.refresh_token)).status, 401);
    assert.equal((await one.call('POST', '/login', { json: { email, password } })).status, 401);
    assert.equal((await one.call('POST', '/register', { json: { email, password } })).status, 201);
  });

  it('S22 what was revoked is still revoked after a restart', async () => {
    const { token } = await newcomer();
    const { token: alive } = await newcomer();
    await one.call('POST', '/logout', { token: token.access_token });
    await one.kill();
    one = await one.restart();
    assert.equal(await me(one, token.access_token), 401);
    assert.equal(await me(one, alive.access_token), 200);
  });
});

describe('a session with three seconds to live', () => {
  it('S23 ends then, however often it is refreshed, and its access token with it', async () => {
    const postern = await startPostern({ env: { SESSION_SECONDS: '3' } });
    try {
      const registered = await postern.call('POST', '/register', { json: { username: 'brief', password } });
      let { token } = registered.body;
      assert.ok(token.expires_in <= 3);
      await waitFor(
        async () => {
          const reply = await postern.call('POST', '/auth/refresh', { json: { refresh_token: token.refresh_token } });
          if (reply.status === 200) token = reply.body.token;
          return reply.status === 401;
        },
        { what: 'the session to end', seconds: 20 },
      );
      await waitFor(async () => (await postern.call('GET', '/auth/me', { token: token.access_token })).status === 401, {
        what: 'the access token to end',
        seconds: 10,
      });
    } finally {
      await postern.dispose();
    }
  });
});
