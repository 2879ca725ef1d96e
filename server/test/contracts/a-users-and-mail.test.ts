/** Project A: a REST API for users and mail — register with username and password, login, send an e-mail, logout. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { letterTo } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

describe('project A', () => {
  let postern: Postern;
  let token: string;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());

  it('registers with username and password', async () => {
    const reply = await postern.call('POST', '/auth/register', {
      json: { username: 'testuser', password: 'Password@123' },
    });
    assert.equal(reply.status, 201, reply.text);
    assert.equal(reply.body.user.username, 'testuser');
    assert.equal(reply.body.user.email, null);
    assert.deepEqual(Object.keys(reply.body.token).sort(), [
      'access_token',
      'expires_in',
      'refresh_token',
      'token_type',
    ]);
  });

  it('refuses the same username', async () => {
    const reply = await postern.call('POST', '/register', { json: { username: 'TestUser', password: 'Password@123' } });
    assert.equal(reply.status, 409);
    assert.equal(reply.body.code, 'users.already_registered');
  });

  it('logs in', async () => {
    const reply = await postern.call('POST', '/auth/login', {
      json: { username: 'testuser', password: 'Password@123' },
    });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.body.token.token_type, 'bearer');
    assert.equal(reply.body.token.expires_in, 3600);
    token = reply.body.token.access_token;
  });

  it('sends an e-mail through the queue', async () => {
    const reply = await postern.call('POST', '/send-email', {
      token,
      json: { to: 'recipient@example.com', subject: 'Test Email', body: 'This is a test email.' },
    });
    assert.equal(reply.status, 202, reply.text);
    assert.equal(reply.body.status, 'queued');
    const letter = await letterTo(postern, 'recipient@example.com');
    assert.equal(letter.subject, 'Test Email');
    assert.match(letter.text, /^This is a test email\.\s*$/);
  });

  it('refuses to send without a token', async () => {
    const reply = await postern.call('POST', '/send-email', { json: { to: 'x@example.com', subject: 's', body: 'b' } });
    assert.equal(reply.status, 401);
    assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer/);
  });

  it('logs out, and the token is dead', async () => {
    assert.equal((await postern.call('POST', '/auth/logout', { token })).status, 204);
    assert.equal((await postern.call('GET', '/auth/me', { token })).status, 401);
  });
});
