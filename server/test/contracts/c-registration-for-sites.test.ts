/** Project C: a registration API shared by several web sites — (server, e-mail) is unique, verified by a link. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

describe('project C', () => {
  let postern: Postern;
  let token: string;
  before(async () => {
    postern = await startPostern();
    for (const site of ['site-a', 'site-b']) assert.equal((await postern.cli('tenants', 'create', site)).code, 0);
    const args = ['--id', 'backend-a', '--scope', 'users:read users:write', '--tenant', 'site-a', '--json'];
    const made = JSON.parse((await postern.cli('clients', 'create', ...args)).stdout);
    const reply = await postern.call('POST', '/oauth/token', { json: { grant_type: 'client_credentials', ...made } });
    token = reply.body.access_token;
  });
  after(() => postern.dispose());

  it('registers the same address once per site', async () => {
    const body = { email: 'user@example.com', server: 'site-a', name: 'A User' };
    const first = await postern.call('POST', '/users', { json: body });
    assert.equal(first.status, 201, first.text);
    assert.equal(first.body.user.server, 'site-a');
    assert.equal(first.body.user.email_verified, false);
    assert.equal(first.body.token, undefined);
    const again = await postern.call('POST', '/users', { json: body });
    assert.equal(again.status, 409);
    assert.equal(again.body.code, 'users.already_registered');
    const elsewhere = await postern.call('POST', '/users', { json: { ...body, server: 'site-b' } });
    assert.equal(elsewhere.status, 201);
  });

  it('verifies by the link, which changes nothing until its button is pressed', async () => {
    await postern.call('POST', '/users', { json: { email: 'link@example.com', server: 'site-a' } });
    const { link, token: linkToken } = proofIn(await letterTo(postern, 'link@example.com'));
    assert.ok(linkToken.length >= 22, 'the token has at least 128 bits');
    const { pathname, search } = new URL(link);
    for (const method of ['GET', 'HEAD']) {
      const page = await postern.call(method, `${pathname}${search}`);
      assert.equal(page.status, 200);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    }
    const read = () => postern.call('GET', '/users?email=link@example.com&server=site-a', { token });
    assert.equal((await read()).body.email_verified, false);
    const pressed = await postern.call('POST', '/auth/verify', {
      form: { token: linkToken },
      headers: { accept: 'text/html' },
    });
    assert.equal(pressed.status, 200, pressed.text);
    assert.match(pressed.headers.get('content-type') ?? '', /^text\/html/);
    assert.equal((await read()).body.email_verified, true);
  });

  it('reads and deletes a user of its own site only', async () => {
    const found = await postern.call('GET', '/users?email=user@example.com&server=site-a', { token });
    assert.equal(found.status, 200);
    assert.deepEqual(Object.keys(found.body), [
      'uuid',
      'email',
      'username',
      'name',
      'profile_image_url',
      'email_verified',
      'server',
      'created_at',
    ]);
    const foreign = await postern.call('GET', '/users?email=user@example.com&server=site-b', { token });
    const absent = await postern.call('GET', '/users?email=nobody@example.com&server=site-a', { token });
    assert.equal(foreign.status, 404);
    assert.equal(absent.status, 404);
    assert.equal((await postern.call('DELETE', `/users/${found.body.uuid}`, { token })).status, 204);
    assert.equal((await postern.call('GET', '/users?email=user@example.com&server=site-a', { token })).status, 404);
  });

  it('shows its documentation at /docs', async () => {
    assert.equal((await postern.call('GET', '/docs/')).status, 200);
    const openapi = await postern.call('GET', '/openapi.json');
    assert.ok(openapi.body.paths['/users'].post);
  });
});
