/** OAuth clients as administrators and operators keep them: `/clients`, and `postern clients`. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const outcome = ({ status, body }: Reply) => [status, body?.code];
const openTo = (...redirect_uris: string[]) => ({ token_endpoint_auth_method: 'none', redirect_uris });
const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicJwk = publicKey.export({ format: 'jwk' });
const jwks = { keys: [{ ...publicJwk, kid: 'one', use: 'sig', alg: 'ES256', ext: true }] };

describe('the clients of a tenant', () => {
  let postern: Postern;
  let other: Postern;
  let admin: string;
  let writer: string;
  let foreigner: string;
  before(async () => {
    const env = { PUBLIC_URL: 'http://postern.example' };
    postern = await startPostern({ env });
    other = await startPostern({ dataDir: postern.dataDir, env });
    await postern.cli('tenants', 'create', 'elsewhere');
    const key = async (scope: string, tenant = 'default') => {
      const made = await postern.cli('keys', 'create', '--name', scope, '--scope', scope, '--tenant', tenant, '--json');
      return JSON.parse(made.stdout).key as string;
    };
    admin = await key('admin');
    writer = await key('users:write mail:admin');
    foreigner = await key('admin', 'elsewhere');
  });
  after(async () => {
    await other.dispose();
    await postern.dispose();
  });

  const create = (json: object, token = admin) => postern.call('POST', '/clients', { token, json });
  const at = (id: string) => `/clients/${encodeURIComponent(id)}`;
  const read = (id: string, token = admin) => postern.call('GET', at(id), { token });
  const change = (id: string, json: object, token = admin) => postern.call('PATCH', at(id), { token, json });
  const rotate = (id: string, json?: object, token = admin) =>
    postern.call('POST', `${at(id)}/secret`, { token, ...(json && { json }) });
  const remove = (id: string, token = admin) => postern.call('DELETE', at(id), { token });
  const ask = (client_id: string, client_secret: string, node = postern) =>
    node.call('POST', '/oauth/token', { json: { grant_type: 'client_credentials', client_id, client_secret } });
  const isRefused = (id: string, secret: string) =>
    waitFor(async () => (await ask(id, secret)).status === 401 && (await ask(id, secret, other)).status === 401, {
      what: 'the secret to be dead on both nodes',
    });
  const audit = async (type: string) =>
    (await postern.call('GET', `/audit?type=${type}&limit=1`, { token: admin })).body.data[0];

  it('are made in the words of RFC 7591, and the secret is shown once', async () => {
    const made = await create({ client_id: 'my/shop', scope: 'basic email orders:read email', client_name: 'Läden' });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.headers.get('location'), '/clients/my%2Fshop');
    assert.equal(made.headers.get('cache-control'), 'no-store');
    const { client_secret: secret, client_id_issued_at: issuedAt, ...rest } = made.body;
    assert.ok(Buffer.from(secret, 'base64url').length >= 32);
    assert.ok(Math.abs(issuedAt - Date.now() / 1000) < 60);
    assert.deepEqual(rest, {
      client_id: 'my/shop',
      client_secret_expires_at: 0,
      scope: 'basic email orders:read',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
      application_type: 'web',
      client_name: 'Läden',
      resources: [],
      skip_consent: false,
    });
    assert.deepEqual((await read('my/shop')).body, { ...rest, client_id_issued_at: issuedAt });
    assert.equal((await ask('my/shop', secret)).body.scope, 'basic email orders:read');
    const { actor, data } = await audit('client.created');
    assert.match(actor, /^key:/);
    assert.deepEqual(data, { client: 'my/shop' });

    assert.deepEqual(outcome(await create({ client_id: 'my/shop', scope: 'basic' })), [409, 'clients.already_exists']);
    const random = await create({ scope: 'basic' });
    assert.match(random.body.client_id, /^\w{24}$/);
  });

  it('say all that RFC 7591 and OpenID Registration have for them', async () => {
    const all = {
      scope: 'openid email',
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials', deviceCode],
      redirect_uris: ['https://shop.example/cb', 'http://localhost:5173/cb'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
      application_type: 'web',
      client_name: 'Shop',
      client_uri: 'https://shop.example',
      logo_uri: 'https://shop.example/logo.png',
      policy_uri: 'http://shop.example/policy',
      tos_uri: 'https://shop.example/terms',
      contacts: ['ops@shop.example'],
      jwks_uri: 'https://shop.example/jwks',
      post_logout_redirect_uris: ['https://shop.example/'],
      id_token_signed_response_alg: 'RS256',
      default_max_age: 3600,
      require_auth_time: true,
      default_acr_values: ['aal2', 'aal1'],
      dpop_bound_access_tokens: true,
      require_pushed_authorization_requests: true,
      software_id: 'shop',
      software_version: '1.2',
      resources: ['https://api.example/v1'],
      skip_consent: true,
    };
    const made = await create(all);
    assert.equal(made.status, 201, made.text);
    const { client_id, client_secret, client_id_issued_at: _, client_secret_expires_at: __, ...said } = made.body;
    assert.deepEqual(said, all);
    // The way that a secret comes is not held against anybody.
    const basic = `${client_id}:${client_secret}`;
    assert.equal((await postern.call('POST', '/oauth/introspect', { form: { token: 'none' }, basic })).status, 200);
  });

  it('are refused with the member at fault', async () => {
    const code = { scope: 'openid', grant_types: ['authorization_code'], redirect_uris: ['https://a.example/cb'] };
    const keyed = { ...code, token_endpoint_auth_method: 'private_key_jwt' };
    const ownKeys = (keys: object[]) => ({ ...keyed, jwks: { keys } });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
    const x = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' });
    for (const [json, member] of [
      [{ ...code, client_id: 'a b' }, 'client_id'],
      [{ ...code, client_id: 'a:b' }, 'client_id'],
      [{ ...code, client_id: 'postern' }, 'client_id'],
      [{ grant_types: ['client_credentials'] }, 'scope'],
      [{ ...code, scope: ' ' }, 'scope'],
      [{ ...code, scope: 'a"b' }, 'scope'],
      [{ ...code, grant_types: [] }, 'grant_types'],
      [{ ...code, grant_types: ['password'] }, 'grant_types.0'],
      [{ ...code, grant_types: ['device_code'] }, 'grant_types.0'],
      [{ ...code, redirect_uris: [] }, 'redirect_uris'],
      [{ ...code, redirect_uris: undefined }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['http://a.example/cb'] }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['https://a.example/cb#x'] }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['https://u@a.example/cb'] }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['javascript:alert(1)'] }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['com.example.app:/cb'] }, 'redirect_uris'],
      [{ ...code, redirect_uris: ['myapp:/cb'], application_type: 'native' }, 'redirect_uris'],
      [{ ...code, post_logout_redirect_uris: ['http://a.example/'] }, 'post_logout_redirect_uris'],
      [{ ...code, response_types: [] }, 'response_types'],
      [{ ...code, response_types: ['token'] }, 'response_types.0'],
      [{ scope: 'basic', response_types: ['code'] }, 'response_types'],
      [{ ...code, grant_types: ['client_credentials'], token_endpoint_auth_method: 'none' }, 'grant_types'],
      [{ ...code, token_endpoint_auth_method: 'client_secret_jwt' }, 'token_endpoint_auth_method'],
      [{ ...code, token_endpoint_auth_signing_alg: 'ES256' }, 'token_endpoint_auth_signing_alg'],
      [{ ...keyed, jwks, token_endpoint_auth_signing_alg: 'HS256' }, 'token_endpoint_auth_signing_alg'],
      [keyed, 'token_endpoint_auth_method'],
      [{ ...keyed, jwks, jwks_uri: 'https://a.example/jwks' }, 'jwks'],
      [{ ...keyed, jwks_uri: 'http://a.example/jwks' }, 'jwks_uri'],
      [ownKeys([]), 'jwks.keys'],
      [ownKeys([privateKey.export({ format: 'jwk' })]), 'jwks'],
      [ownKeys([{ kty: 'oct', k: 'c2VjcmV0' }]), 'jwks'],
      [ownKeys([{ ...publicJwk, y: publicJwk.x }]), 'jwks'],
      [ownKeys([{ ...publicJwk, use: 'enc' }]), 'jwks'],
      [ownKeys([{ ...publicJwk, kid: 'a\0' }]), 'jwks'],
      [ownKeys([rsa]), 'jwks'],
      [ownKeys([x]), 'jwks'],
      [{ ...code, jwks: { keys: [publicJwk], more: 1 } }, 'jwks.more'],
      [{ ...code, id_token_signed_response_alg: 'none' }, 'id_token_signed_response_alg'],
      [{ ...code, client_name: 'A\0' }, 'client_name'],
      [{ ...code, client_name: 'A\u202eB' }, 'client_name'],
      [{ ...code, client_name: ' ' }, 'client_name'],
      [{ ...code, logo_uri: 'javascript:alert(1)' }, 'logo_uri'],
      [{ ...code, contacts: ['nobody'] }, 'contacts'],
      [{ ...code, resources: ['https://a.example/#x'] }, 'resources'],
      [{ ...code, resources: ['api'] }, 'resources'],
      [{ ...code, default_max_age: -1 }, 'default_max_age'],
      [{ ...code, default_acr_values: ['aal3'] }, 'default_acr_values.0'],
      [{ ...code, client_secret: 'mine' }, 'client_secret'],
      [{ ...code, tenant: 'elsewhere' }, 'tenant'],
    ] as [object, string][]) {
      const reply = await create(json);
      assert.equal(reply.status, 400, `${JSON.stringify(json)} ${reply.text}`);
      assert.deepEqual([reply.body.errors?.[0]?.path], [member], `${JSON.stringify(json)} ${reply.text}`);
    }
  });

  it('without a secret are those that can keep none, and those that have keys', async () => {
    const open = await create({
      scope: 'openid',
      application_type: 'native',
      ...openTo('com.example.app:/cb', 'http://127.0.0.1/cb'),
    });
    assert.equal(open.status, 201, open.text);
    assert.deepEqual(open.body.grant_types, ['authorization_code']);
    const keyed = await create({ scope: 'email', token_endpoint_auth_method: 'private_key_jwt', jwks });
    assert.equal(keyed.status, 201, keyed.text);
    assert.deepEqual(keyed.body.jwks, { keys: [{ ...publicJwk, kid: 'one', use: 'sig', alg: 'ES256' }] });
    for (const { body } of [open, keyed]) {
      assert.ok(!('client_secret' in body) && !('client_secret_expires_at' in body), JSON.stringify(body));
      assert.deepEqual(outcome(await rotate(body.client_id)), [400, 'clients.invalid']);
    }
    // Who has keys is nobody without them, whatever secret is made up, or none.
    const { client_id } = keyed.body;
    for (const secret of [{}, { client_secret: 'guess' }]) {
      for (const path of ['/oauth/token', '/oauth/revoke', '/oauth/introspect']) {
        const form = { grant_type: 'client_credentials', token: 'x', client_id, ...secret };
        const reply = await postern.call('POST', path, { form });
        assert.deepEqual([reply.status, reply.body.error], [401, 'invalid_client'], path);
      }
    }
  });

  it('change in what is given, lists as a whole, and null takes away', async () => {
    const { body: made } = await create({
      client_id: 'changing',
      scope: 'email',
      client_name: 'Before',
      contacts: ['a@shop.example', 'b@shop.example'],
      require_auth_time: true,
    });
    const { client_secret: _, ...before } = made;
    const changed = await change('changing', {
      scope: 'basic',
      client_name: 'After',
      contacts: ['c@shop.example'],
      require_auth_time: null,
      grant_types: ['client_credentials', 'authorization_code'],
      redirect_uris: ['https://shop.example/cb'],
    });
    const { require_auth_time: __, ...rest } = before;
    const after = {
      ...rest,
      scope: 'basic',
      client_name: 'After',
      contacts: ['c@shop.example'],
      grant_types: ['client_credentials', 'authorization_code'],
      response_types: ['code'],
      redirect_uris: ['https://shop.example/cb'],
    };
    assert.deepEqual([changed.status, changed.body], [200, after]);
    assert.deepEqual((await read('changing')).body, after);
    await waitFor(async () => (await ask('changing', made.client_secret, other)).body.scope === 'basic', {
      what: 'the other node to know',
      seconds: 2,
    });
    const { actor, data } = await audit('client.updated');
    assert.match(actor, /^key:/);
    assert.deepEqual(data, { client: 'changing' });

    for (const [json, member] of [
      [{}, ''],
      [{ client_id: 'other' }, 'client_id'],
      [{ tenant_id: 'other' }, 'tenant_id'],
      [{ scope: null }, 'scope'],
      [{ redirect_uris: null }, 'redirect_uris'],
      [{ redirect_uris: ['https://shop.example/cb', 'http://shop.example/cb'] }, 'redirect_uris'],
      [{ response_types: [] }, 'response_types'],
      [{ token_endpoint_auth_method: 'none' }, 'grant_types'],
      [{ token_endpoint_auth_method: 'private_key_jwt' }, 'token_endpoint_auth_method'],
      [{ client_name: '' }, 'client_name'],
    ] as [object, string][]) {
      const reply = await change('changing', json);
      assert.deepEqual(
        [reply.status, reply.body.errors?.[0]?.path],
        [400, member],
        `${JSON.stringify(json)} ${reply.text}`,
      );
    }
    assert.deepEqual((await read('changing')).body, after, 'nothing of what was refused');
  });

  it('made by a version that knew no metadata go on, with redirect URIs that would be refused today', async () => {
    const { body } = await create({ client_id: 'old', scope: 'email' });
    await create({ client_id: 'old-public', scope: 'email', ...openTo('https://old.example/cb') });
    const db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
    await db`
      UPDATE clients SET metadata = '{}', redirect_uris = '{http://old.example/cb}' WHERE client_id LIKE 'old%'`;
    await db.end();
    assert.equal((await read('old')).body.token_endpoint_auth_method, 'client_secret_basic');
    assert.equal((await read('old-public')).body.token_endpoint_auth_method, 'none');
    assert.equal((await ask('old', body.client_secret)).status, 200);
    assert.deepEqual((await change('old', { client_name: 'Old' })).body.redirect_uris, ['http://old.example/cb']);
    const more = { redirect_uris: ['http://old.example/cb', 'https://old.example/cb'] };
    assert.equal((await change('old', more)).status, 200);
    assert.equal((await change('old', { redirect_uris: ['http://new.example/cb'] })).status, 400);
    const native = await change('old', { application_type: 'native' });
    assert.equal(native.status, 400, 'they are judged anew where they mean something else');
  });

  it('get a secret with a method that has one, and lose it with one that has none', async () => {
    const { body } = await create({ client_id: 'turning', scope: 'email' });
    await rotate('turning', { overlap_seconds: 60 });
    const keyed = await change('turning', { token_endpoint_auth_method: 'private_key_jwt', jwks });
    assert.equal(keyed.status, 200, keyed.text);
    assert.ok(!('client_secret' in keyed.body) && !('former_secret_until' in keyed.body));
    await isRefused('turning', body.client_secret);
    const back = await change('turning', { token_endpoint_auth_method: null, jwks: null });
    assert.equal(back.body.token_endpoint_auth_method, 'client_secret_basic');
    assert.ok(!('jwks' in back.body));
    await waitFor(async () => (await ask('turning', back.body.client_secret)).status === 200, {
      what: 'the new secret to be good',
      seconds: 2,
    });
    assert.equal((await ask('turning', body.client_secret)).status, 401);
  });

  it('rotate their secret: the former one is dead at once, or when its time is over', async () => {
    const { body: made } = await create({ client_id: 'rotating', scope: 'email' });
    const token = (await ask('rotating', made.client_secret)).body.access_token;
    const second = await rotate('rotating');
    assert.deepEqual([second.status, Object.keys(second.body)], [200, ['client_id', 'client_secret']]);
    await isRefused('rotating', made.client_secret);
    assert.equal((await ask('rotating', second.body.client_secret, other)).status, 200);
    assert.equal((await postern.call('GET', '/emails', { token })).status, 200, 'tokens live on');

    assert.equal((await ask('new-born', 'secret', other)).status, 401);
    const born = await create({ client_id: 'new-born', scope: 'email' });
    assert.equal((await ask('new-born', born.body.client_secret, other)).status, 200, 'at once, on the other node');

    const third = await rotate('rotating', { overlap_seconds: 2_592_000 });
    const days = (Date.parse(third.body.former_secret_until) - Date.now()) / 86_400_000;
    assert.ok(days > 29.9 && days < 30.1, third.body.former_secret_until);
    assert.equal((await read('rotating')).body.former_secret_until, third.body.former_secret_until);
    for (const node of [postern, other]) {
      assert.equal((await ask('rotating', third.body.client_secret, node)).status, 200, 'the new one, at once');
    }
    assert.equal((await ask('rotating', second.body.client_secret)).status, 200, 'both are good');
    assert.equal((await ask('rotating', made.client_secret)).status, 401, 'the one before is not');

    const fourth = await rotate('rotating', { overlap_seconds: 2 });
    await isRefused('rotating', second.body.client_secret);
    await isRefused('rotating', third.body.client_secret);
    assert.equal((await ask('rotating', fourth.body.client_secret)).status, 200);
    assert.ok(!('former_secret_until' in (await read('rotating')).body));
    assert.deepEqual((await audit('client.secret_rotated')).data, { client: 'rotating' });
    for (const overlap_seconds of [-1, 1.5, 2_592_001, '60', null]) {
      assert.equal((await rotate('rotating', { overlap_seconds })).status, 400, String(overlap_seconds));
    }
  });

  it('are deleted with their tokens', async () => {
    const { body } = await create({ client_id: 'leaving', scope: 'users:read' });
    const token = (await ask('leaving', body.client_secret)).body.access_token;
    const may = async (node: Postern) => (await node.call('GET', '/users', { token })).status;
    assert.deepEqual([await may(postern), await may(other)], [200, 200]);
    assert.equal((await remove('leaving')).status, 204);
    assert.equal(await may(postern), 401, 'here at once');
    await waitFor(async () => (await may(other)) === 401, { what: 'the other node to know', seconds: 2 });
    await isRefused('leaving', body.client_secret);
    for (const reply of [await remove('leaving'), await read('leaving'), await rotate('leaving')]) {
      assert.deepEqual(outcome(reply), [404, 'clients.not_found']);
    }
    assert.deepEqual((await audit('client.deleted')).data, { client: 'leaving' });
  });

  it('S41 are nobody else’s: those of another tenant are as absent as those that never were', async () => {
    await create({ client_id: 'here', scope: 'email' });
    const there = await create({ client_id: 'there', scope: 'email' }, foreigner);
    assert.equal(there.status, 201);
    for (const call of [
      (id: string) => read(id),
      (id: string) => change(id, { client_name: 'Mine' }),
      (id: string) => rotate(id),
      (id: string) => remove(id),
    ]) {
      const plain = ({ status, body: { request_id: _, ...rest } }: Reply) =>
        JSON.stringify([status, rest]).replaceAll(/there|never|a%00b|a\\u0000b/g, 'ID');
      const absent = await call('never');
      assert.deepEqual(outcome(absent), [404, 'clients.not_found']);
      assert.equal(plain(await call('there')), plain(absent));
      assert.equal(plain(await call('a\0b')), plain(absent));
    }
    assert.equal((await read('there', foreigner)).status, 200);
    assert.equal((await ask('there', there.body.client_secret)).status, 200);
    const theirs = await postern.call('GET', '/clients', { token: foreigner });
    assert.deepEqual(
      theirs.body.data.map(({ client_id }: { client_id: string }) => client_id),
      ['there'],
    );
  });

  it('are listed by client_id, page by page', async () => {
    const all: string[] = [];
    for (let after = '', more = true; more; after = all.at(-1) ?? '') {
      const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
      const { body } = await postern.call('GET', `/clients?limit=3${query}`, { token: admin });
      all.push(...body.data.map(({ client_id }: { client_id: string }) => client_id));
      assert.ok(!JSON.stringify(body).includes('"client_secret"'));
      more = body.has_more;
    }
    assert.ok(
      ['here', 'my/shop', 'rotating'].every((id) => all.includes(id)),
      all.join(),
    );
    assert.ok(!all.includes('there'));
    assert.equal(new Set(all).size, all.length);
    for (const query of ['limit=0', 'limit=101', 'after=%00', 'before=x']) {
      assert.equal((await postern.call('GET', `/clients?${query}`, { token: admin })).status, 400, query);
    }
  });

  it('are the business of administrators alone', async () => {
    for (const [token, status] of [
      [writer, 403],
      ['', 401],
    ] as const) {
      const id = 'here';
      for (const reply of [
        await postern.call('GET', '/clients', { token }),
        await create({ scope: 'email' }, token),
        await read(id, token),
        await change(id, { client_name: 'x' }, token),
        await rotate(id, {}, token),
        await remove(id, token),
      ]) {
        assert.equal(reply.status, status, reply.text);
      }
    }
  });

  describe('by the command line', () => {
    const json = async (...args: string[]) => {
      const { code, stdout, stderr } = await postern.cli('clients', ...args, '--json');
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const fails = async (...args: string[]) => {
      const { code, stderr } = await postern.cli('clients', ...args);
      return [code, stderr.trim()];
    };

    it('are made with all that the API takes, and shown', async () => {
      const file = join(postern.dataDir, 'jwks.json');
      await writeFile(file, JSON.stringify(jwks));
      const made = await json(
        ...['create', '--id', 'by-hand', '--scope', 'openid email', '--name', 'By hand', '--native', '--dpop'],
        ...['--grant', 'authorization_code', '--grant', 'device_code', '--redirect-uri', 'com.example.app:/cb'],
        ...['--redirect-uri', 'http://127.0.0.1/cb', '--post-logout-redirect-uri', 'com.example.app:/bye'],
        ...['--auth-method', 'private_key_jwt', '--jwks', file, '--resource', 'https://api.example', '--skip-consent'],
        ...['--id-token-alg', 'ES256', '--require-par', '--tenant', 'elsewhere'],
      );
      await rm(file);
      assert.deepEqual(made, { client_id: 'by-hand' });
      const shown = await json('show', 'by-hand');
      const { client_id_issued_at: _, ...rest } = shown;
      assert.deepEqual(rest, {
        client_id: 'by-hand',
        scope: 'openid email',
        grant_types: ['authorization_code', deviceCode],
        response_types: ['code'],
        redirect_uris: ['com.example.app:/cb', 'http://127.0.0.1/cb'],
        token_endpoint_auth_method: 'private_key_jwt',
        application_type: 'native',
        resources: ['https://api.example'],
        skip_consent: true,
        client_name: 'By hand',
        jwks: { keys: [{ ...publicJwk, kid: 'one', use: 'sig', alg: 'ES256' }] },
        id_token_signed_response_alg: 'ES256',
        post_logout_redirect_uris: ['com.example.app:/bye'],
        require_pushed_authorization_requests: true,
        dpop_bound_access_tokens: true,
        tenant: 'elsewhere',
      });
      const { tenant: __, ...same } = shown;
      assert.deepEqual((await read('by-hand', foreigner)).body, same);
      const { stdout } = await postern.cli('clients', 'show', 'by-hand');
      assert.match(stdout, /^client_name +By hand$/m);
    });

    it('change, rotate with an overlap, and say which values they do not know', async () => {
      const uri = 'https://shop.example/cb';
      const made = await json('create', '--id', 'shop', '--scope', 'email', '--redirect-uri', uri, '--skip-consent');
      assert.deepEqual(Object.keys(made), ['client_id', 'client_secret']);
      assert.deepEqual((await json('show', 'shop')).grant_types, ['client_credentials']);
      const changed = await json(
        ...['update', 'shop', '--scope', 'basic email', '--name', 'Shop', '--redirect-uri', '', '--no-skip-consent'],
      );
      assert.deepEqual(
        [changed.scope, changed.client_name, changed.redirect_uris, changed.skip_consent],
        ['basic email', 'Shop', [], false],
      );
      assert.ok(!('client_name' in (await json('update', 'shop', '--name', ''))));
      assert.deepEqual((await audit('client.updated')).actor, null);

      const rotated = await json('rotate', 'shop', '--overlap', '600');
      assert.deepEqual(Object.keys(rotated), ['client_id', 'client_secret']);
      assert.ok((await json('show', 'shop')).former_secret_until);
      for (const { client_secret } of [made, rotated]) {
        await waitFor(async () => (await ask('shop', client_secret)).status === 200, { what: 'both to be good' });
      }

      const open = await json('create', '--public', '--scope', 'openid', '--redirect-uri', 'http://localhost/cb');
      assert.deepEqual(Object.keys(open), ['client_id']);
      assert.deepEqual((await json('show', open.client_id)).token_endpoint_auth_method, 'none');
      const turned = await json('update', open.client_id, '--auth-method', 'client_secret_post');
      assert.ok(turned.client_secret);

      const create = ['create', '--scope', 'email'];
      assert.match(String(await fails('update', 'shop')), /^2,Say what is to change/);
      for (const [args, code, message] of [
        [[...create, '--grant', 'password'], 1, /grant_types must be of/],
        [[...create, '--grant', 'authorization_code'], 1, /redirect_uris must name at least one/],
        [[...create, '--public', '--grant', 'client_credentials'], 1, /it is public/],
        [[...create, '--public', '--secret', 'x', '--redirect-uri', uri], 1, /client_secret must not be/],
        [[...create, '--public', '--auth-method', 'client_secret_basic'], 2, /--public is not --auth-method/],
        [[...create, '--auth-method', 'guess'], 2, /--auth-method must be one of/],
        [[...create, '--auth-method', 'private_key_jwt', '--jwks', '/nowhere'], 2, /--jwks \/nowhere: /],
        [[...create, '--id-token-alg', 'none'], 2, /--id-token-alg must be one of/],
        [['update', 'shop', '--dpop', '--no-dpop'], 2, /cannot both be/],
        [['update', 'nobody', '--dpop'], 1, /no client "nobody"/],
        [['show', 'nobody'], 1, /no client "nobody"/],
        [['rotate', 'shop', '--overlap', '2592001'], 2, /--overlap must be/],
        [['rotate', 'shop', '--overlap', 'a'], 2, /--overlap must be/],
        [['rotate', 'shop', '--secret', ''], 1, /client_secret must have 1 to 1024/],
        [['rotate', 'by-hand'], 1, /client_secret must not be/],
      ] as [string[], number, RegExp][]) {
        const [exit, said] = await fails(...args);
        assert.equal(exit, code, `${args.join(' ')} ${said}`);
        assert.match(String(said), message);
      }
    });
  });
});
