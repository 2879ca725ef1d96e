/** Project D: an authentication service — register, login, access and refresh tokens, refresh, logout. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Postern, startPostern } from '../support/start-postern.ts';

describe('project D', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());
  const user = { email: 'user@example.com', password: 'Password@123' };

  it('registers, logs in, refreshes and logs out', async () => {
    assert.equal((await postern.call('POST', '/register', { json: user })).status, 201);
    const login = await postern.call('POST', '/login', { json: user });
    assert.equal(login.status, 200);
    const first = login.body.token;
    assert.equal((await postern.call('GET', '/auth/me', { token: first.access_token })).body.email, user.email);

    const refreshed = await postern.call('POST', '/auth/refresh', { json: { refresh_token: first.refresh_token } });
    assert.equal(refreshed.status, 200, refreshed.text);
    const second = refreshed.body.token;
    assert.notEqual(second.refresh_token, first.refresh_token);

    assert.equal((await postern.call('POST', '/logout', { token: second.access_token })).status, 204);
    for (const token of [first.access_token, second.access_token]) {
      assert.equal((await postern.call('GET', '/auth/me', { token })).status, 401);
    }
    const dead = await postern.call('POST', '/auth/refresh', { json: { refresh_token: second.refresh_token } });
    assert.equal(dead.status, 401);
  });

  it('answers a wrong password and an unknown user alike', async () => {
    const wrong = await postern.call('POST', '/login', { json: { ...user, password: 'Password@124' } });
    const unknown = await postern.call('POST', '/login', { json: { ...user, email: 'nobody@example.com' } });
    for (const reply of [wrong, unknown]) {
      assert.equal(reply.status, 401);
      assert.equal(reply.body.code, 'auth.invalid_credentials');
    }
    assert.deepEqual({ ...wrong.body, request_id: 0 }, { ...unknown.body, request_id: 0 });
  });
});
