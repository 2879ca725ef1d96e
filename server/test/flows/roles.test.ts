/** Roles, and what users' own sessions may do (quality S21, S22, S41). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { letterTo } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

interface Person {
  email: string;
  uuid: string;
  access_token: string;
  refresh_token: string;
}

describe('roles', () => {
  let postern: Postern;
  let other: Postern;
  let admin: string;
  let writer: string;
  let foreigner: string;
  let count = 0;
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
    writer = await key('users:read users:write');
    foreigner = await key('admin', 'elsewhere');
  });
  after(async () => {
    await other.dispose();
    await postern.dispose();
  });

  const put = (name: string, json: object, token = admin) => postern.call('PUT', `/roles/${name}`, { token, json });
  const give = (uuid: string, name: string, token = admin) =>
    postern.call('PUT', `/users/${uuid}/roles/${name}`, { token });
  const take = (uuid: string, name: string, token = admin) =>
    postern.call('DELETE', `/users/${uuid}/roles/${name}`, { token });
  const login = async (email: string, server = 'default') =>
    (await postern.call('POST', '/login', { json: { email, password, server } })).body.token;
  const refresh = async (refresh_token: string, node = postern) =>
    (await node.call('POST', '/auth/refresh', { json: { refresh_token } })).body.token;
  const mayList = async (token: string, node = postern) => (await node.call('GET', '/users', { token })).status;
  /** On both nodes: within a second is what is promised, and what is waited for. */
  const isDead = (token: string) =>
    waitFor(async () => (await mayList(token)) === 401 && (await mayList(token, other)) === 401, {
      what: 'the token to be dead on both nodes',
      seconds: 2,
    });
  async function person(server = 'default'): Promise<Person> {
    const email = `person${++count}@roles.example`;
    const { status, body } = await postern.call('POST', '/register', { json: { email, password, server } });
    assert.equal(status, 201);
    return { email, uuid: body.user.uuid, ...body.token };
  }
  /** Somebody with a role of their own that reads users. */
  async function reader(): Promise<Person & { role: string }> {
    const one = await person();
    const role = `reader${count}`;
    assert.equal((await put(role, { scopes: ['users:read'] })).status, 201);
    assert.equal((await give(one.uuid, role)).status, 204);
    const token = await login(one.email);
    assert.equal(await mayList(token.access_token, other), 200);
    return { ...one, ...token, role };
  }

  it('are made, changed, listed and deleted', async () => {
    const made = await put('editor', { scopes: ['posts:write', 'users:read', 'posts:write'], description: 'Writes' });
    assert.deepEqual(
      [made.status, made.body.name, made.body.scopes, made.body.description],
      [201, 'editor', ['posts:write', 'users:read'], 'Writes'],
    );
    const changed = await put('editor', { scopes: [] });
    assert.deepEqual([changed.status, changed.body.scopes, changed.body.description], [200, [], null]);
    await put('author', { scopes: ['posts:write'] });
    const page = await postern.call('GET', '/roles?limit=1', { token: writer });
    assert.deepEqual(
      [page.body.data.map(({ name }: { name: string }) => name), page.body.has_more],
      [['author'], true],
    );
    const rest = await postern.call('GET', '/roles?after=author', { token: writer });
    assert.deepEqual(
      [rest.body.data.map(({ name }: { name: string }) => name), rest.body.has_more],
      [['editor'], false],
    );
    assert.equal((await postern.call('DELETE', '/roles/editor', { token: admin })).status, 204);
    assert.deepEqual(outcome(await postern.call('DELETE', '/roles/editor', { token: admin })), [
      404,
      'roles.not_found',
    ]);
    for (const scopes of [
      ['Posts'],
      ['a b'],
      ['"'],
      [''],
      ['x'.repeat(129)],
      Array(5)
        .fill(0)
        .map((_, i) => `s${i}${'x'.repeat(110)}`),
    ]) {
      assert.equal((await put('author', { scopes })).status, 400, JSON.stringify(scopes));
    }
    for (const name of ['Author', '1st', 'a%20b', '%00', 'x'.repeat(64)]) {
      assert.equal((await put(name, { scopes: [] })).status, 400, name);
    }
  });

  it('of a user stand in the tokens that are made next, with their scopes', async () => {
    const one = await person();
    await put('seller', { scopes: ['orders:write', 'users:read'] });
    await put('packer', { scopes: ['orders:read'] });
    assert.equal(await mayList(one.access_token), 403);
    assert.equal((await give(one.uuid, 'seller')).status, 204);
    assert.equal((await give(one.uuid.toUpperCase(), 'packer')).status, 204);
    assert.equal((await give(one.uuid, 'packer')).status, 204, 'again');
    assert.equal(await mayList(one.access_token), 403, 'the token as it was');

    for (const { access_token } of [await refresh(one.refresh_token, other), await login(one.email)]) {
      const claims = claimsOf(access_token);
      assert.deepEqual(claims.scope.split(' '), ['basic', 'email', 'orders:read', 'orders:write', 'users:read']);
      assert.deepEqual(claims.roles, ['packer', 'seller']);
      assert.equal(await mayList(access_token), 200);
    }
    const basic = await postern.call('GET', '/users', { basic: `${one.email}:${password}` });
    assert.equal(basic.status, 200);
    const seen = await postern.call('GET', `/users/${one.uuid}/roles`, { token: writer });
    assert.deepEqual(
      seen.body.data.map((role: { name: string; scopes: string[] }) => [role.name, role.scopes]),
      [
        ['packer', ['orders:read']],
        ['seller', ['orders:write', 'users:read']],
      ],
    );
    const full = await postern.call('GET', `/users/${one.uuid}`, { token: writer });
    assert.deepEqual([full.body.roles, full.body.scopes], [['packer', 'seller'], []]);
    assert.equal('roles' in claimsOf((await person()).access_token), false);
  });

  it('S22 taken away are gone from tokens already out within a second; the session goes on without', async () => {
    const { uuid, email, role, access_token, refresh_token } = await reader();
    const bystander = await reader();
    assert.equal((await take(uuid, role)).status, 204);
    await isDead(access_token);
    const next = await refresh(refresh_token);
    assert.deepEqual(
      [claimsOf(next.access_token).scope, claimsOf(next.access_token).roles],
      ['basic email', undefined],
    );
    assert.equal(await mayList(next.access_token), 403);
    assert.deepEqual(outcome(await take(uuid, role)), [404, 'roles.not_found']);

    await give(uuid, role);
    const again = await login(email);
    assert.deepEqual([await mayList(again.access_token), await mayList(access_token)], [200, 401]);
    assert.equal(await mayList(bystander.access_token), 200);
  });

  it('S22 whose scopes are changed, or that are deleted, are so in tokens already out within a second', async () => {
    const changed = await reader();
    await put(changed.role, { scopes: ['users:read'], description: 'For people' });
    const { access_token } = await refresh(changed.refresh_token);
    await put(changed.role, { scopes: ['orders:read'] });
    await isDead(access_token);
    await isDead(changed.access_token);
    assert.equal(claimsOf((await login(changed.email)).access_token).scope, 'basic email orders:read');

    const deleted = await reader();
    await put(deleted.role, { scopes: ['users:read'], description: 'Another word, and nothing else' });
    assert.equal(await mayList(deleted.access_token), 200, 'the description alone ends nothing');
    assert.equal((await postern.call('DELETE', `/roles/${deleted.role}`, { token: admin })).status, 204);
    await isDead(deleted.access_token);
    const claims = claimsOf((await refresh(deleted.refresh_token)).access_token);
    assert.deepEqual([claims.scope, claims.roles], ['basic email', undefined]);
  });

  it('S21 taken away in the moment of logins and refreshes on two nodes leave nobody with them', async () => {
    for (let round = 0; round < 5; round++) {
      const { uuid, email, role } = await reader();
      const sessions = await Promise.all(Array.from({ length: 6 }, () => login(email)));
      const made = await Promise.all([
        ...sessions.map(({ refresh_token }, i) => refresh(refresh_token, i % 2 ? postern : other)),
        ...[1, 2].map(() => login(email)),
        round % 2 ? take(uuid, role).then(() => undefined) : put(role, { scopes: [] }).then(() => undefined),
      ]);
      for (const token of made.filter((one) => one !== undefined)) {
        await waitFor(async () => (await mayList(token.access_token)) !== 200, {
          what: 'the role to be gone',
          seconds: 2,
        });
        assert.equal(await mayList((await refresh(token.refresh_token)).access_token), 403);
      }
    }
  });

  it('S41 are the business of who holds every right, in one tenant', async () => {
    const { uuid, role, access_token } = await reader();
    const theirs = await person('elsewhere');
    assert.equal((await put('spy', { scopes: ['admin'] }, foreigner)).status, 201);
    for (const token of [writer, access_token]) {
      assert.equal((await put('mine', { scopes: ['users:read'] }, token)).status, 403);
      assert.equal((await put(role, { scopes: ['admin'] }, token)).status, 403);
      assert.equal((await give(uuid, role, token)).status, 403);
      assert.equal((await take(uuid, role, token)).status, 403);
      assert.equal((await postern.call('DELETE', `/roles/${role}`, { token })).status, 403);
      assert.equal((await postern.call('PATCH', '/tenant', { token, json: { user_scopes: [] } })).status, 403);
    }
    const absent = '01890000-0000-7000-8000-000000000000';
    for (const id of [theirs.uuid, absent, 'nonsense']) {
      assert.deepEqual(outcome(await give(id, role)), [404, 'users.not_found']);
      assert.deepEqual(outcome(await take(id, role)), [404, 'users.not_found']);
      const seen = await postern.call('GET', `/users/${id}/roles`, { token: admin });
      assert.deepEqual(outcome(seen), [404, 'users.not_found']);
    }
    assert.deepEqual(outcome(await give(uuid, 'spy')), [404, 'roles.not_found'], "another tenant's role");
    assert.deepEqual(outcome(await postern.call('DELETE', '/roles/spy', { token: admin })), [404, 'roles.not_found']);
    const listed = (await postern.call('GET', '/roles?limit=100', { token: admin })).body.data;
    assert.ok(!listed.some(({ name }: { name: string }) => name === 'spy'));
    // The same name in another tenant is another role.
    assert.equal((await put(role, { scopes: [] }, foreigner)).status, 201);
    assert.equal(await mayList(access_token), 200);
  });

  it('S41 make administrators, who are not below those who write users', async () => {
    const { uuid, email } = await person();
    await put('owner', { scopes: ['admin'] });
    await give(uuid, 'owner');
    const { access_token } = await login(email);
    assert.equal((await postern.call('GET', '/audit', { token: access_token })).status, 200);
    assert.equal((await postern.call('POST', `/users/${uuid}/disable`, { token: writer })).status, 403);
    for (const what of ['sessions', 'second-factors']) {
      assert.equal((await postern.call('DELETE', `/users/${uuid}/${what}`, { token: writer })).status, 403);
    }
    assert.equal((await put('made.by-owner', { scopes: ['users:write'] }, access_token)).status, 201);
  });

  it('are ten at most, and with all of them a token still is one', async () => {
    const { uuid, email } = await person();
    const names = Array.from({ length: 11 }, (_, i) => `long${i}.${'x'.repeat(56)}`);
    for (const [i, name] of names.entries()) {
      const scopes = Array.from({ length: 4 }, (_, j) => `s${i}.${j}:${'y'.repeat(118)}`);
      assert.equal((await put(name, { scopes })).status, 201);
    }
    const replies = await Promise.all(names.map((name) => give(uuid, name)));
    assert.deepEqual(replies.map(({ status }) => status).toSorted(), [...Array(10).fill(204), 409]);
    const { access_token } = await login(email);
    assert.equal(claimsOf(access_token).scope.split(' ').length, 42);
    assert.equal(
      (await postern.call('GET', '/auth/me', { token: access_token })).status,
      200,
      `${access_token.length}`,
    );
  });

  it('are told with the token to other programs, and written down', async () => {
    const { uuid, role, access_token, refresh_token } = await reader();
    const made = await postern.cli('clients', 'create', '--scope', 'basic', '--json');
    const client = JSON.parse(made.stdout);
    const introspect = (token: string) =>
      postern.call('POST', '/oauth/introspect', {
        form: { token },
        basic: `${client.client_id}:${client.client_secret}`,
      });
    const { body } = await introspect(access_token);
    assert.deepEqual([body.active, body.scope, body.roles], [true, 'basic email users:read', [role]]);
    assert.equal((await introspect(refresh_token)).body.scope, 'basic email users:read');
    await take(uuid, role);
    await waitFor(async () => !(await introspect(access_token)).body.active, { what: 'introspection to know' });
    assert.equal((await introspect(refresh_token)).body.scope, 'basic email');
    const audit = (await postern.call('GET', `/audit?user=${uuid}`, { token: admin })).body.data;
    assert.deepEqual(
      audit.slice(0, 3).map(({ type, data }: { type: string; data: unknown }) => [type, data]),
      [
        ['user.role_taken', { role }],
        ['user.logged_in', null],
        ['user.role_granted', { role }],
      ],
    );
    const roles = (await postern.call('GET', '/audit?type=role.created&limit=1', { token: admin })).body.data;
    assert.deepEqual([roles[0].data, roles[0].actor.startsWith('key:')], [{ role, scopes: 'users:read' }, true]);
  });

  it('come with an invitation, of whoever may give them', async () => {
    const email = `guest${++count}@roles.example`;
    await put('guest', { scopes: ['users:read'] });
    await put('passing', { scopes: ['orders:read'] });
    const invite = (roles: string[], token = admin) =>
      postern.call('POST', '/invitations', { token, json: { email, roles } });
    assert.equal((await invite(['guest'], writer)).status, 403);
    assert.deepEqual(outcome(await invite(['guest', 'absent'])), [400, 'http.invalid_request']);
    const made = await invite(['guest', 'passing']);
    assert.deepEqual([made.status, made.body.invitation.roles], [201, ['guest', 'passing']]);
    await postern.call('DELETE', '/roles/passing', { token: admin });
    const { text } = await letterTo(postern, email);
    const token = /token=([\w-]+)/.exec(text)?.[1];
    const done = await postern.call('POST', '/auth/invitation', { json: { token, password } });
    assert.equal(done.status, 200, done.text);
    assert.deepEqual(claimsOf(done.body.token.access_token).roles, ['guest']);
    assert.equal(await mayList(done.body.token.access_token), 200);
  });

  it('are managed by the command line beside a running server', async () => {
    const made = await postern.cli('roles', 'set', 'clerk', '--scope', 'users:read', '--description', 'Desk', '--json');
    assert.equal(made.code, 0, made.stderr);
    assert.deepEqual(JSON.parse(made.stdout).scopes, ['users:read']);
    const email = 'clerk@roles.example';
    const create = (role: string) =>
      postern.cli('users', 'create', '--email', email, '--password', password, '--role', role, '--json');
    const absent = await create('absent');
    assert.deepEqual([absent.code, absent.stdout], [1, '']);
    assert.equal((await create('clerk')).code, 0);
    const { access_token } = await login(email);
    assert.equal(await mayList(access_token, other), 200);
    const listed = JSON.parse((await postern.cli('roles', 'list', '--json')).stdout);
    assert.ok(listed.some(({ name }: { name: string }) => name === 'clerk'));
    assert.equal((await postern.cli('roles', 'set', 'clerk')).code, 2);
    assert.equal((await postern.cli('roles', 'delete', 'clerk')).code, 0);
    await isDead(access_token);
    assert.equal((await postern.cli('roles', 'delete', 'clerk')).code, 1);
  });

  it('S22 stand beside what a tenant leaves to every session, which it may narrow', async () => {
    const json = { to: 'x@elsewhere.example', subject: 'x', text: 'x' };
    const send = (token: string) => postern.call('POST', '/emails', { token, json }).then(({ status }) => status);
    const narrow = (user_scopes: string[]) =>
      postern.call('PATCH', '/tenant', { token: foreigner, json: { user_scopes } });
    const { access_token, refresh_token, uuid, email } = await person('elsewhere');
    assert.equal(await send(access_token), 202);
    assert.deepEqual((await postern.call('GET', '/tenant', { token: foreigner })).body, {
      server: 'elsewhere',
      user_scopes: ['basic', 'email'],
    });
    assert.deepEqual((await narrow(['basic'])).body.user_scopes, ['basic']);
    await isDead(access_token);
    const next = await refresh(refresh_token);
    await narrow(['basic', 'basic']);
    assert.deepEqual([claimsOf(next.access_token).scope, await send(next.access_token)], ['basic', 403]);
    assert.equal((await postern.call('GET', '/auth/me', { token: next.access_token })).status, 200);

    await put('sender', { scopes: ['email'] }, foreigner);
    await give(uuid, 'sender', foreigner);
    assert.equal(await send((await login(email, 'elsewhere')).access_token), 202);
    assert.equal(claimsOf((await person()).access_token).scope, 'basic email', 'of another tenant');
    assert.equal((await narrow(['admin'])).status, 400);

    const usual = await postern.cli('tenants', 'update', 'elsewhere', '--user-scopes', 'basic email', '--json');
    assert.deepEqual(JSON.parse(usual.stdout).user_scopes, ['basic', 'email']);
    await isDead(next.access_token);
    assert.equal((await postern.cli('tenants', 'create', 'narrow', '--user-scopes', 'basic')).code, 0);
    assert.equal(claimsOf((await person('narrow')).access_token).scope, 'basic');
    assert.equal((await postern.cli('tenants', 'create', 'wide', '--user-scopes', 'admin')).code, 1);
  });
});
