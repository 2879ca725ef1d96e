/** Tokens bound to a key (DPoP, RFC 9449) or to a resource server (RFC 8707), on two nodes of one database. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { NewToken } from '../../src/crypto/access-tokens.ts';
import { type KeyHolder, newKeyHolder } from '../support/proof.ts';
import { realSigner } from '../support/real-signer.ts';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';

const secret = 'secret';
const resource = 'https://api.example.com/v1';
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

describe('tokens bound to something', () => {
  let one: Postern;
  let two: Postern;
  let signer: Awaited<ReturnType<typeof realSigner>>;
  let holder: KeyHolder;
  let user: { uuid: string };
  before(async () => {
    const SECRET_KEY = randomBytes(32).toString('base64');
    one = await startPostern({ env: { SECRET_KEY } });
    const env = { SECRET_KEY, PUBLIC_URL: `http://localhost:${one.port}` };
    two = await startPostern({ dataDir: one.dataDir, env });
    signer = await realSigner(one);
    holder = await newKeyHolder();
    for (const [id, scope] of [
      ['app', 'basic email users:read openid profile'],
      ['bound', 'basic'],
      ['known', 'openid'],
    ] as const) {
      const made = await one.cli('clients', 'create', '--id', id, '--secret', secret, '--scope', scope);
      assert.equal(made.code, 0, made.stderr);
    }
    await signer.db`
      UPDATE clients SET metadata = ${signer.db.json({ resources: [resource, 'urn:example:api'] })} WHERE client_id = 'app'`;
    await signer.db`
      UPDATE clients SET metadata = '{"dpop_bound_access_tokens":true}' WHERE client_id = 'bound'`;
    const json = { username: 'jo', password: 'Password@123' };
    user = (await one.call('POST', '/register', { json })).body.user;
  });
  after(async () => {
    await signer.close();
    await two.dispose();
    await one.dispose();
  });

  const at = (path: string) => `${signer.publicUrl}${path}`;
  const sign = (more: Partial<NewToken> = {}) =>
    signer.sign({
      ...{ sub: user.uuid, clientId: 'wallet', grantId: user.uuid, scope: 'basic', tenant: 'default' },
      ...{ thumbprint: holder.thumbprint, lifetimeSeconds: 300 },
      ...more,
    });
  const me = (headers: Record<string, string>, node = one) => node.call('GET', '/auth/me', { headers });
  const shown = (token: string, dpop: string) => ({ authorization: `DPoP ${token}`, dpop });

  describe('to a key', () => {
    it('are taken with a proof of it, each proof once', async () => {
      const token = await sign();
      const headers = shown(token, await holder.prove('GET', at('/auth/me'), { token }));
      const first = await me(headers);
      assert.equal(first.status, 200, first.text);
      for (const node of [one, two]) {
        const again = await me(headers, node);
        assert.deepEqual([again.status, again.body.code], [401, 'auth.invalid_dpop_proof']);
        assert.match(again.headers.get('www-authenticate') ?? '', /^DPoP error="invalid_dpop_proof", algs="RS256 /);
      }
      const next = shown(token, await holder.prove('GET', at('/auth/me'), { token }));
      assert.equal((await me({ ...next, authorization: `dPoP  ${token}` }, two)).status, 200);
    });

    it('are let in once by twenty equal requests at once, whichever nodes they come to', async () => {
      const token = await sign();
      const headers = shown(token, await holder.prove('GET', at('/auth/me'), { token }));
      const all = await Promise.all(Array.from({ length: 20 }, (_, i) => me(headers, i % 2 === 0 ? one : two)));
      const statuses = all.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [200, ...Array(19).fill(401)]);
    });

    it('are worth nothing without the proof, or with one that is not theirs', async () => {
      const token = await sign();
      const other = await newKeyHolder();
      const bearer = await me({ authorization: `Bearer ${token}` });
      assert.equal(bearer.status, 401);
      assert.match(bearer.headers.get('www-authenticate') ?? '', /^DPoP error="invalid_token", algs=/);
      const proof = await holder.prove('GET', at('/auth/me'), { token });
      const asBearer = await me({ authorization: `Bearer ${token}`, dpop: proof });
      assert.match(asBearer.headers.get('www-authenticate') ?? '', /^DPoP error="invalid_token"/);
      const others = await me(shown(token, await other.prove('GET', at('/auth/me'), { token })));
      assert.deepEqual([others.status, others.body.code], [401, 'auth.unauthorized']);
      assert.match(others.headers.get('www-authenticate') ?? '', /^DPoP error="invalid_token"/);

      for (const headers of [
        { authorization: `DPoP ${token}` },
        shown(token, 'rubbish'),
        shown(token, `${proof}, ${proof}`),
        shown(token, await holder.prove('POST', at('/auth/me'), { token })),
        shown(token, await holder.prove('GET', at('/users'), { token })),
        shown(token, await holder.prove('GET', `${one.url}/auth/me`, { token })),
        shown(token, await holder.prove('GET', at('/auth/me'))),
        shown(token, await holder.prove('GET', at('/auth/me'), { token: `${token}x` })),
      ] as Record<string, string>[]) {
        const reply = await me(headers);
        assert.deepEqual([reply.status, reply.body.code], [401, 'auth.invalid_dpop_proof'], JSON.stringify(headers));
      }
      // The address is that of PUBLIC_URL, whatever the request calls the host.
      const evil = await holder.prove('GET', 'http://evil.example/auth/me', { token });
      assert.equal((await me({ ...shown(token, evil), host: 'evil.example' })).status, 401);
      assert.equal(
        (await me(shown(token, proof))).status,
        200,
        'it was refused for what came with it, and is not used',
      );
    });

    it('are not those that are bound to none: a proof beside those is refused, and API keys have none', async () => {
      const unbound = await sign({ thumbprint: undefined });
      const dpop = await holder.prove('GET', at('/auth/me'), { token: unbound });
      const reply = await me(shown(unbound, dpop));
      assert.equal(reply.status, 401);
      assert.match(reply.headers.get('www-authenticate') ?? '', /^DPoP error="invalid_token"/);
      assert.equal((await me({ authorization: `Bearer ${unbound}` })).status, 200);
      const key = JSON.parse(
        (await one.cli('keys', 'create', '--name', 'k', '--scope', 'users:read', '--json')).stdout,
      );
      const pair = shown(key.key, await holder.prove('GET', at('/users'), { token: key.key }));
      assert.equal((await one.call('GET', '/users', { headers: pair })).status, 401);
      assert.equal((await one.call('GET', '/users', { token: key.key })).status, 200);
    });

    it('are taken wherever a Bearer token is', async () => {
      const token = await sign({ scope: 'users:read users:write' });
      const send = async (method: string, path: string, options: CallOptions = {}) => {
        const dpop = await holder.prove(method, at(path.replace(/\?.*/, '')), { token });
        return two.call(method, path, { ...options, headers: shown(token, dpop) });
      };
      assert.equal((await send('GET', '/users?limit=5')).status, 200);
      const made = await send('POST', '/users', { json: { email: 'kim@example.com' } });
      assert.equal(made.status, 201, made.text);
      assert.equal((await send('DELETE', '/users?email=kim@example.com')).status, 204);
      assert.equal((await send('POST', '/auth/email/confirm', { json: { code: '0000' } })).status, 403);
    });
  });

  const ask = (id: string, form: Record<string, string> = {}, headers: Record<string, string> = {}) =>
    one.call('POST', '/oauth/token', {
      form: { grant_type: 'client_credentials', client_id: id, client_secret: secret, ...form },
      headers,
    });
  const introspect = async (token: string) =>
    (await one.call('POST', '/oauth/introspect', { form: { client_id: 'app', client_secret: secret, token } })).body;

  describe('for a client in its own name', () => {
    it('are bound to the key of the proof that it asks with', async () => {
      const dpop = await holder.prove('POST', at('/oauth/token'));
      const granted = await ask('app', { scope: 'users:read' }, { dpop });
      assert.equal(granted.status, 200, granted.text);
      assert.equal(granted.body.token_type, 'DPoP');
      const token = granted.body.access_token;
      assert.deepEqual(claimsOf(token).cnf, { jkt: holder.thumbprint });
      assert.equal((await one.call('GET', '/users', { token })).status, 401);
      const headers = shown(token, await holder.prove('GET', at('/users'), { token }));
      assert.equal((await one.call('GET', '/users', { headers })).status, 200);
      const told = await introspect(token);
      assert.deepEqual([told.active, told.token_type, told.cnf], [true, 'DPoP', { jkt: holder.thumbprint }]);

      const again = await ask('app', {}, { dpop });
      assert.deepEqual([again.status, again.body.error], [400, 'invalid_dpop_proof']);
      assert.equal(again.headers.get('cache-control'), 'no-store');
      const ofOtherUrl = await holder.prove('POST', at('/authorize'));
      assert.equal((await ask('app', {}, { dpop: ofOtherUrl })).body.error, 'invalid_dpop_proof');
    });

    it('are made once for twenty equal proofs at once', async () => {
      const dpop = await holder.prove('POST', at('/oauth/token'));
      const all = await Promise.all(Array.from({ length: 20 }, () => ask('app', {}, { dpop })));
      assert.deepEqual(all.map(({ status }) => status).sort(), [200, ...Array(19).fill(400)]);
    });

    it('are not to be had without a proof where the client has said that they are all bound', async () => {
      const without = await ask('bound');
      assert.deepEqual([without.status, without.body.error], [400, 'invalid_dpop_proof']);
      const granted = await ask('bound', {}, { dpop: await holder.prove('POST', at('/oauth/token')) });
      assert.equal(granted.body.token_type, 'DPoP');
    });

    it('hold no scopes of OpenID Connect, which speak of users', async () => {
      const granted = await ask('app');
      assert.equal(granted.body.scope, 'basic email users:read');
      for (const scope of ['openid', 'basic profile', 'offline_access']) {
        const refused = await ask('app', { scope });
        assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_scope'], scope);
      }
      assert.equal((await ask('known')).body.error, 'invalid_scope');
    });
  });

  describe('to a resource server', () => {
    it('are for it alone, and it can ask about them', async () => {
      for (const audience of [resource, 'urn:example:api']) {
        const token = (await ask('app', { resource: audience })).body.access_token;
        assert.equal(claimsOf(token).aud, audience);
        assert.equal((await one.call('GET', '/users', { token })).status, 401, 'S26');
        const told = await introspect(token);
        assert.deepEqual([told.active, told.aud, told.token_type], [true, audience, 'Bearer']);
        // Also after it was remembered.
        assert.equal((await one.call('GET', '/users', { token })).status, 401, 'S26');
      }
      const own = (await ask('app', { resource: signer.publicUrl, scope: 'users:read' })).body.access_token;
      assert.equal(claimsOf(own).aud, signer.publicUrl);
      assert.equal((await one.call('GET', '/users', { token: own })).status, 200);
      assert.equal(claimsOf((await ask('app', { resource: '' })).body.access_token).aud, signer.publicUrl);
    });

    it('are ended by the client they were issued to, and by no other (S33)', async () => {
      const token = (await ask('app', { resource })).body.access_token;
      const dpop = await holder.prove('POST', at('/oauth/token'));
      const others = (await ask('bound', {}, { dpop })).body.access_token;
      const revoke = (value: string) =>
        one.call('POST', '/oauth/revoke', { form: { client_id: 'app', client_secret: secret, token: value } });
      assert.equal((await revoke(others)).status, 400);
      assert.equal((await introspect(others)).active, true);
      assert.equal((await revoke(token)).status, 200);
      assert.deepEqual(await introspect(token), { active: false });
    });

    it('are not given out for one that the client has not named, or for several at once', async () => {
      for (const other of [
        'https://other.example',
        `${resource}/`,
        `${resource}#x`,
        '/v1',
        'rubbish',
        `${signer.publicUrl}/x`,
      ]) {
        const refused = await ask('app', { resource: other });
        assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_target'], other);
      }
      const pairs = `grant_type=client_credentials&client_id=app&client_secret=${secret}`;
      const twice = `${pairs}&resource=${encodeURIComponent(resource)}&resource=urn:example:api`;
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      for (const options of [
        { body: twice, headers },
        {
          json: {
            grant_type: 'client_credentials',
            client_id: 'app',
            client_secret: secret,
            resource: [resource, 'urn:example:api'],
          },
        },
      ]) {
        const refused = await one.call('POST', '/oauth/token', options);
        assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_target']);
        assert.match(refused.body.error_description, /one resource at a time/);
      }
      assert.equal((await ask('bound', { resource })).body.error, 'invalid_target');
    });
  });
});
