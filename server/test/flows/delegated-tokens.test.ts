/** Tokens that users let other programs have: what those may do with them, on every route there is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { NewToken } from '../../src/crypto/access-tokens.ts';
import { newId } from '../../src/crypto/ids.ts';
import { realSigner } from '../support/real-signer.ts';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

/** All that answers with what was asked for. But for the first these take no token, and give anybody the same. */
const answered = [
  'GET /auth/me',
  'DELETE /inbox/messages',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/openid-configuration',
  'GET /device',
  'GET /forgot',
  'GET /inbox/messages',
  'GET /livez',
  'GET /metrics',
  'GET /readyz',
  'GET /sign-in',
  'GET /sign-in/letter',
  'GET /sign-in/second-factor',
  'GET /sign-up',
  'POST /auth/passkeys/login/options',
];

describe('a token that a user lets another program have', () => {
  let postern: Postern;
  let signer: Awaited<ReturnType<typeof realSigner>>;
  let user: { uuid: string; email: string };
  let own: string;
  let letter: string;
  before(async () => {
    postern = await startPostern({ env: { SECRET_KEY: randomBytes(32).toString('base64') } });
    signer = await realSigner(postern);
    const json = { email: 'jo@example.com', password };
    const registered = await postern.call('POST', '/register', { json });
    user = registered.body.user;
    own = registered.body.token.access_token;
    const sent = await postern.call('POST', '/emails', { token: own, json: { to: 'a@example.com', subject: 'Mine' } });
    assert.equal(sent.status, 202, sent.text);
    letter = sent.body.id;
  });
  after(async () => {
    await signer.close();
    await postern.dispose();
  });
  const sessionOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid;
  const delegated = (more: Partial<NewToken> = {}) =>
    signer.sign({
      sub: user.uuid,
      clientId: 'calendar',
      grantId: newId(),
      scope: 'openid profile email basic offline_access',
      tenant: 'default',
      authentication: { methods: ['pwd'], level: 'aal2', at: Math.floor(Date.now() / 1000) },
      lifetimeSeconds: 300,
      ...more,
    });

  it('says who the user is, where it has the scope basic', async () => {
    const reply = await postern.call('GET', '/auth/me', { token: await delegated() });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.body.uuid, user.uuid);
    const without = await postern.call('GET', '/auth/me', {
      token: await delegated({ scope: 'openid profile email' }),
    });
    assert.equal(without.status, 403);
    assert.equal(without.body.code, 'auth.insufficient_scope');
  });

  /** Everything in /openapi.json, with the user's own ids in it, so that nothing is missing for want of a right address. */
  async function everyCall(): Promise<{ name: string; method: string; path: string; options: CallOptions }[]> {
    const { paths } = (await postern.call('GET', '/openapi.json')).body;
    const ids: Record<string, string> = { uuid: user.uuid, id: sessionOf(own), position: '0', address: user.email };
    const calls = Object.entries<Record<string, { requestBody?: { content: object } }>>(paths).flatMap(
      ([template, methods]) =>
        Object.keys(methods).map((method) => {
          const isMail = template.startsWith('/emails');
          const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
            encodeURIComponent(name === 'id' && isMail ? letter : (ids[name] ?? newId())),
          );
          return { name: `${method.toUpperCase()} ${template}`, method: method.toUpperCase(), path };
        }),
    );
    const bodies: Record<string, object> = {
      'POST /auth/logout': { everywhere: true },
      'POST /auth/password/change': { current_password: password, new_password: 'Another@123' },
      'POST /auth/email/change': { email: 'new@example.com', password },
      'POST /auth/email/confirm': { code: '0000' },
      'POST /auth/step-up': { password },
      'POST /auth/verify': { code: '0000' },
      'POST /emails': { to: 'b@example.com', subject: 'Not mine' },
      'POST /send-email': { to: 'b@example.com', subject: 'Not mine' },
      'POST /users': { email: 'third@example.com' },
    };
    const all = calls.map((one) => ({
      ...one,
      options: one.method === 'GET' ? {} : { json: bodies[one.name] ?? {} },
    }));
    const named = `/users?email=${encodeURIComponent(user.email)}`;
    return [
      ...all.filter(({ name }) => name !== 'DELETE /users'),
      { name: 'GET /users', method: 'GET', path: named, options: {} },
      { name: 'DELETE /users', method: 'DELETE', path: named, options: {} },
    ];
  }

  it('does nothing else, whether it ends with a session of the user or not', async () => {
    const calls = await everyCall();
    assert.ok(calls.length > 100, `${calls.length} calls`);
    const tokens = [await delegated(), await delegated({ sid: sessionOf(own) })];
    const found = new Set<string>();
    const odd: string[] = [];
    for (const { name, method, path, options } of calls) {
      const { status: without } = await postern.call(method, path, options);
      for (const token of tokens) {
        const { status, text } = await postern.call(method, path, { ...options, token });
        if (status < 300) found.add(name);
        // Of what takes no token, pages say whom they let in by a redirect, and others what is wrong with the body.
        else if (![401, 403, 404].includes(status) && status !== without) odd.push(`${name}: ${status} ${text}`);
      }
    }
    assert.deepEqual(odd, []);
    assert.deepEqual([...found].sort(), answered.sort());
    const me = await postern.call('GET', '/auth/me', { token: own });
    assert.deepEqual([me.status, me.body.email], [200, user.email]);
    assert.equal((await postern.call('POST', '/login', { json: { email: user.email, password } })).status, 200);
  });

  it('is no credential of the pages and of programs that ask about tokens', async () => {
    const token = await delegated();
    for (const path of ['/oauth/introspect', '/oauth/revoke']) {
      const reply = await postern.call('POST', path, {
        form: { token },
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(reply.status, 401, path);
    }
    const account = await postern.call('GET', '/account', { token });
    assert.equal(account.status, 302);
  });

  it('tells which scope is missing where another would do, and that none does where it is for the user alone', async () => {
    const token = await delegated();
    const sessions = await postern.call('GET', '/auth/sessions', { token });
    assert.equal(sessions.status, 403);
    assert.match(sessions.body.detail, /another program/);
    assert.match(sessions.headers.get('www-authenticate') ?? '', /error="insufficient_scope"/);
    const mail = await postern.call('POST', '/emails', { token, json: { to: 'b@example.com', subject: 'x' } });
    assert.match(mail.headers.get('www-authenticate') ?? '', /scope="email"/);
  });

  it('carries rights that the user has given on purpose, and no more of them for being the user', async () => {
    const reads = await delegated({ scope: 'users:read' });
    assert.equal((await postern.call('GET', '/users', { token: reads })).status, 200);
    const path = `/users?email=${encodeURIComponent(user.email)}`;
    assert.equal((await postern.call('GET', path, { token: reads })).status, 200);
    assert.equal((await postern.call('DELETE', path, { token: reads })).status, 403);
    assert.equal((await postern.call('DELETE', `/users/${user.uuid}`, { token: reads })).status, 403);
    // All rights of an administrator, and yet not the administrator.
    const all = await delegated({ scope: 'admin' });
    for (const [method, address] of [
      ['POST', '/auth/logout'],
      ['GET', '/auth/export'],
      ['GET', '/auth/sessions'],
    ] as const) {
      assert.equal((await postern.call(method, address, { token: all })).status, 403, address);
    }
  });

  it('ends with the grant, with the session it is bound to, and by itself', async () => {
    const grantId = newId();
    const ofGrant = await delegated({ grantId });
    const other = await postern.call('POST', '/login', { json: { email: user.email, password } });
    const ofSession = await delegated({ sid: sessionOf(other.body.token.access_token) });
    const left = await delegated();
    const me = async (token: string) => (await postern.call('GET', '/auth/me', { token })).status;
    assert.deepEqual([await me(ofGrant), await me(ofSession), await me(left)], [200, 200, 200]);
    await signer.db`
      INSERT INTO revocations (subject, expires_at) VALUES (${grantId}, now() + interval '1 hour')`;
    await waitFor(async () => (await me(ofGrant)) === 401, { what: 'the grant to end' });
    await postern.call('POST', '/logout', { token: other.body.token.access_token, json: {} });
    assert.deepEqual([await me(ofSession), await me(left)], [401, 200]);
  });
});
