/** OAuth clients: their tokens, what is told about them, and what ends them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('clients', () => {
  let postern: Postern;
  const id = 'my client/1';
  before(async () => {
    postern = await startPostern({
      env: { BOOTSTRAP_CLIENT_ID: 'boot', BOOTSTRAP_CLIENT_SECRET: 'p+q r%:ü', BOOTSTRAP_CLIENT_SCOPE: 'basic email' },
    });
  });
  after(() => postern.dispose());
  const secret = 'p+q r%:ü';
  const body = { grant_type: 'client_credentials', client_id: 'boot', client_secret: secret };
  const token = (options: CallOptions) => postern.call('POST', '/oauth/token', options);

  it('authenticate by body or Basic, in a form or JSON, at either address', async () => {
    const encoded = new URLSearchParams([['', secret]]).toString().slice(1);
    for (const options of [
      { json: body },
      { form: body },
      { json: { grant_type: 'client_credentials' }, basic: `boot:${encoded}` },
      { form: { grant_type: 'client_credentials', client_id: 'boot' }, basic: `boot:${encoded}` },
      { form: { ...body, scope: '', unknown: 'ignored' } },
    ] satisfies CallOptions[]) {
      for (const path of ['/oauth/token', '/authorize']) {
        const reply = await postern.call('POST', path, options);
        assert.equal(reply.status, 200, reply.text);
        assert.deepEqual(Object.keys(reply.body), ['token_type', 'expires_in', 'access_token', 'scope']);
        assert.deepEqual(
          [reply.body.token_type, reply.body.expires_in, reply.body.scope],
          ['Bearer', 3600, 'basic email'],
        );
        assert.equal(reply.headers.get('cache-control'), 'no-store');
      }
    }
  });

  it('are refused in the form of RFC 6749', async () => {
    const json = { 'content-type': 'application/json' };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const pairs = new URLSearchParams(body).toString();
    for (const [options, status, error] of [
      [{ json: { ...body, client_secret: 'wrong' } }, 401, 'invalid_client'],
      [{ json: { ...body, client_id: 'nobody' } }, 401, 'invalid_client'],
      [{ json: { ...body, client_id: 'a\0b' } }, 401, 'invalid_client'],
      [{ json: { grant_type: 'client_credentials' } }, 401, 'invalid_client'],
      [{ json: body, headers: { authorization: 'Basic !!!' } }, 401, 'invalid_client'],
      [{ json: body, basic: 'boot:x' }, 400, 'invalid_request'],
      [{ json: { ...body, scope: 'basic admin' } }, 400, 'invalid_scope'],
      [{ json: { ...body, scope: ' ' } }, 400, 'invalid_scope'],
      [{ json: { ...body, grant_type: 'password' } }, 400, 'unsupported_grant_type'],
      [{ json: { ...body, grant_type: undefined } }, 400, 'invalid_request'],
      [{ json: { ...body, grant_type: 7 } }, 400, 'invalid_request'],
      [{ json: [] }, 400, 'invalid_request'],
      [{ body: '{', headers: json }, 400, 'invalid_request'],
      [{ body: '{"grant_type":"a","grant_type":"b"}', headers: json }, 400, 'invalid_request'],
      [{ body: `${pairs}&scope=basic&scope=email`, headers: form }, 400, 'invalid_request'],
      [{ body: 'text', headers: { 'content-type': 'text/plain' } }, 400, 'invalid_request'],
      [{}, 400, 'invalid_request'],
    ] as [CallOptions, number, string][]) {
      const reply = await token(options);
      assert.deepEqual([reply.status, reply.body.error], [status, error], JSON.stringify(options));
      assert.equal(typeof reply.body.error_description, 'string');
      assert.equal(reply.headers.get('cache-control'), 'no-store');
      if (status === 401) assert.match(reply.headers.get('www-authenticate') ?? '', /^Basic/);
    }
    const inQuery = await postern.call('POST', '/oauth/token?client_secret=x', { json: body });
    assert.equal(inQuery.body.error, 'invalid_request', 'S33');
  });

  it('are made, rotated and deleted by a command beside the running server', async () => {
    assert.notEqual((await postern.cli('clients', 'create', '--id', id, '--scope', 'email', '--json')).code, 0);
    const made = await postern.cli('clients', 'create', '--id', 'job', '--scope', 'users:read email', '--json');
    const first = JSON.parse(made.stdout);
    assert.ok(Buffer.from(first.client_secret, 'base64url').length >= 32);
    const ask = (client_secret: string) => token({ json: { ...body, client_id: 'job', client_secret } });
    const granted = await ask(first.client_secret);
    assert.equal(granted.status, 200);

    const rotated = JSON.parse((await postern.cli('clients', 'rotate', 'job', '--json')).stdout);
    await waitFor(async () => (await ask(first.client_secret)).status === 401, { what: 'the old secret to die' });
    assert.equal((await ask(rotated.client_secret)).status, 200);

    const access = granted.body.access_token;
    assert.equal((await postern.call('GET', '/users', { token: access })).status, 200);
    assert.equal((await postern.cli('clients', 'delete', 'job')).code, 0);
    await waitFor(async () => (await ask(rotated.client_secret)).status === 401, { what: 'the client to be gone' });
    await waitFor(async () => (await postern.call('GET', '/users', { token: access })).status === 401, {
      what: 'its token to die',
    });
    const again = JSON.parse(
      (await postern.cli('clients', 'create', '--id', 'job', '--scope', 'users:read', '--json')).stdout,
    );
    const fresh = await waitFor(
      async () => {
        const reply = await ask(again.client_secret);
        return reply.status === 200 && reply;
      },
      { what: 'a client of the same name' },
    );
    assert.equal((await postern.call('GET', '/users', { token: fresh.body.access_token })).status, 200);
  });

  it('learn about tokens of their tenant, and end their own', async () => {
    const auth = { client_id: 'boot', client_secret: secret };
    const introspect = async (value: string) =>
      (await postern.call('POST', '/oauth/introspect', { form: { ...auth, token: value } })).body;
    const revoke = (value: string) => postern.call('POST', '/oauth/revoke', { form: { ...auth, token: value } });
    const own = (await token({ json: body })).body.access_token;
    const told = await introspect(own);
    assert.deepEqual(
      [told.active, told.client_id, told.scope, told.token_type],
      [true, 'boot', 'basic email', 'Bearer'],
    );

    const password = 'Password@123';
    const here = await postern.call('POST', '/register', { json: { username: 'here', password } });
    const there = await postern.call('POST', '/register', { json: { username: 'there', password, server: 'other' } });
    assert.equal((await introspect(here.body.token.access_token)).sub, here.body.user.uuid);
    assert.equal((await introspect(here.body.token.refresh_token)).active, true);
    for (const dead of [there.body.token.access_token, there.body.token.refresh_token, 'rubbish', 'rt_rubbish']) {
      assert.deepEqual(await introspect(dead), { active: false });
      assert.equal((await revoke(dead)).status, 200);
    }
    assert.equal((await postern.call('GET', '/auth/me', { token: there.body.token.access_token })).status, 200);

    assert.equal((await revoke(own)).status, 200);
    assert.deepEqual(await introspect(own), { active: false });
    assert.equal((await revoke(here.body.token.refresh_token)).status, 200);
    assert.equal((await postern.call('GET', '/auth/me', { token: here.body.token.access_token })).status, 401);
    assert.equal((await postern.call('POST', '/oauth/introspect', { form: { token: own } })).status, 401);
  });

  it('find keys and addresses at the well-known places', async () => {
    const metadata = (await postern.call('GET', '/.well-known/oauth-authorization-server')).body;
    assert.equal(metadata.issuer, `http://localhost:${postern.port}`);
    const { keys } = (await postern.call('GET', '/.well-known/jwks.json')).body;
    assert.deepEqual(Object.keys(keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });
});
