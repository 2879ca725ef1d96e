/** Registering, reading and deleting users, in several tenants and under each REGISTRATION. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

describe('users', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());
  const register = (json: object, headers: Record<string, string> = {}) =>
    postern.call('POST', '/auth/register', { json, headers });
  async function clientToken(scope: string, ...more: string[]) {
    const made = await postern.cli('clients', 'create', '--scope', scope, '--json', ...more);
    assert.equal(made.code, 0, made.stderr);
    const reply = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    assert.equal(reply.status, 200, reply.text);
    return reply.body.access_token as string;
  }

  it('go from registration to verified, by the letter', async () => {
    const registered = await register({ email: 'Ann@Users.Example', username: 'Ann', password, name: 'Ann O’Neill' });
    assert.equal(registered.status, 201);
    assert.deepEqual(Object.keys(registered.body.user), [
      ...['uuid', 'email', 'username', 'name', 'profile_image_url', 'email_verified', 'server', 'created_at'],
    ]);
    assert.equal(registered.body.user.email_verified, false);
    assert.equal(registered.body.token.token_type, 'bearer');
    assert.equal(registered.body.token.expires_in, 3600);
    const letter = await letterTo(postern, 'Ann@users.example');
    const { code, link } = proofIn(letter);
    assert.ok(letter.subject.includes(code) && letter.html.includes(code) && letter.html.includes(link));
    const verified = await postern.call('POST', '/auth/verify', {
      basic: `ann@users.example:${password}`,
      json: { code },
    });
    assert.deepEqual([verified.status, verified.body.user.email_verified], [200, true]);
    for (const name of [{ email: 'ANN@USERS.EXAMPLE' }, { username: 'aNN' }]) {
      const login = await postern.call('POST', '/auth/login', { json: { ...name, password } });
      assert.equal(login.status, 200);
      const me = await postern.call('GET', '/auth/me', { token: login.body.token.access_token });
      assert.deepEqual(me.body, verified.body.user);
    }
  });

  it('are unique by address and by username, however they are written, also in parallel', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        register({ email: i % 2 ? 'same@users.example' : 'SAME@Users.Example', password }),
      ),
    );
    assert.deepEqual(replies.map(({ status }) => status).sort(), [201, ...Array(9).fill(409)]);
    await register({ username: 'Straße', password });
    const taken = await register({ username: 'STRAßE', password });
    assert.deepEqual(
      [taken.status, taken.body.code, taken.body.errors[0].path],
      [409, 'users.already_registered', 'username'],
    );
  });

  it('are registered once per Idempotency-Key, with the first answer again', async () => {
    const body = { email: 'once@users.example', password };
    const first = await register(body, { 'idempotency-key': 'once' });
    const second = await register(body, { 'idempotency-key': 'once' });
    assert.deepEqual([second.status, second.text], [201, first.text]);
    assert.equal(second.headers.get('idempotent-replay'), 'true');
    assert.equal((await register({ ...body, name: 'x' }, { 'idempotency-key': 'once' })).status, 422);
    assert.equal(
      (await register(body, { 'postern-tenant': 'elsewhere', 'idempotency-key': 'once' })).status,
      201,
      'S42',
    );
  });

  it('are refused with the faulty field named, and nothing is made', async () => {
    for (const [body, path] of [
      [{ password }, 'email'],
      [{ email: 'x@users.example' }, 'password'],
      [{ email: 'x@users.example', password: 'short' }, 'password'],
      [{ email: 'x@users.example', password: 'x'.repeat(1025) }, 'password'],
      [{ email: 'a@b,c@d', password }, 'email'],
      [{ email: 'x@users.example', password, role: 'admin' }, 'role'],
      [{ email: 'x@users.example', password, scopes: ['admin'] }, 'scopes'],
      [{ email: ['x@users.example'], password }, 'email'],
      [{ email: 'x@users.example', password, name: 'a\0b' }, 'name'],
      [{ email: 'x@users.example', password, profile_image_url: 'javascript:alert(1)' }, 'profile_image_url'],
      [{ username: 'a@b', password }, 'username'],
      [{ username: 'a\u202eb', password }, 'username'],
      [{ email: 'x@users.example', password, server: '../etc' }, 'server'],
    ] as const) {
      const reply = await register(body);
      assert.deepEqual([reply.status, reply.body.errors?.[0]?.path], [400, path], JSON.stringify(body).slice(0, 80));
    }
    assert.equal((await register({ email: 'x@users.example', password: 'p'.repeat(1_000_000) })).status, 413);
    assert.equal((await register({ email: 'x@users.example', password })).status, 201);
  });

  it('S42 of two tenants have nothing to do with each other', async () => {
    const email = 'twin@users.example';
    const a = await register({ email, password: 'Password@A', server: 'site-a' });
    const b = await register({ email, password: 'Password@B' }, { 'postern-tenant': 'site-b' });
    assert.deepEqual([a.body.user.server, b.body.user.server], ['site-a', 'site-b']);
    assert.notEqual(a.body.user.uuid, b.body.user.uuid);
    const login = (server: string, secret: string) =>
      postern.call('POST', '/login', { json: { email, password: secret, server } }).then(({ status }) => status);
    assert.deepEqual(
      [await login('site-a', 'Password@A'), await login('site-a', 'Password@B'), await login('site-b', 'Password@B')],
      [200, 401, 200],
    );
    const reader = await clientToken('users:read users:write', '--tenant', 'site-a');
    const own = await postern.call('GET', `/users?email=${email}&server=site-a`, { token: reader });
    assert.equal(own.body.uuid, a.body.user.uuid);
    const foreign = await postern.call('GET', `/users?email=${email}&server=site-b`, { token: reader });
    const absent = await postern.call('GET', '/users?email=nobody@users.example', { token: reader });
    assert.deepEqual([foreign.status, foreign.body.code], [absent.status, absent.body.code]);
    assert.equal((await postern.call('DELETE', `/users/${b.body.user.uuid}`, { token: reader })).status, 404);
    const list = await postern.call('GET', '/users', { token: reader });
    assert.deepEqual(
      list.body.data.map((user: { uuid: string }) => user.uuid),
      [a.body.user.uuid],
    );
    assert.equal((await postern.call('DELETE', `/users?email=${email}`, { token: reader })).status, 204);
    assert.equal(await login('site-b', 'Password@B'), 200);
  });

  it('are read by a scope or by themselves, never by each other', async () => {
    const [one] = await Promise.all([
      register({ email: 'one@users.example', password }),
      register({ email: 'two@users.example', password }),
    ]);
    const token = one.body.token.access_token;
    const read = (query: string, by: object) => postern.call('GET', `/users${query}`, by).then(({ status }) => status);
    assert.equal(await read('?email=one@users.example', { token }), 200);
    assert.equal(await read('?email=one@users.example', { basic: `one@users.example:${password}` }), 200);
    assert.equal(await read('?email=two@users.example', { token }), 403);
    assert.equal(await read('?email=ghost@users.example', { token }), 403);
    assert.equal(await read('', { token }), 403);
    assert.equal(await read('?email=one@users.example', {}), 401);
    assert.equal(await read('?email=one@users.example', { basic: 'one@users.example:wrong' }), 401);
    assert.equal(await read('?email=one@users.example', { token: await clientToken('email') }), 403);
  });

  it('are listed by keyset', async () => {
    const reader = await clientToken('users:read', '--tenant', 'default');
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const { body } = await postern.call('GET', `/users?limit=2${after}`, { token: reader });
      seen.push(...body.data.map((user: { uuid: string }) => user.uuid));
      if (!body.has_more) break;
      after = `&after=${seen.at(-1)}`;
    }
    assert.ok(seen.length > 4);
    assert.deepEqual(seen, [...new Set(seen)].sort().reverse());
  });

  it('take their mail history with them', async () => {
    const email = 'leaving@users.example';
    await register({ email, password });
    await letterTo(postern, email);
    const admin = await clientToken('mail:admin users:write');
    const history = async () => (await postern.call('GET', `/emails?to=${email}`, { token: admin })).body.data;
    await waitFor(async () => (await history())[0]?.status === 'sent', { what: 'the letter to be settled' });
    const [{ id }] = await history();
    assert.equal((await postern.call('DELETE', `/users?email=${email}`, { token: admin })).status, 204);
    assert.deepEqual(await history(), []);
    const letter = await postern.call('GET', `/emails/${id}`, { token: admin });
    assert.ok(!letter.text.includes('leaving'), letter.text);
  });
});

describe('a user who is deleted meanwhile', () => {
  let postern: Postern;
  let database: OpenDatabase;
  let count = 0;
  before(async () => {
    postern = await startPostern();
    const where = { databaseUrl: undefined, dataDir: postern.dataDir };
    database = await openDatabase(where, pino({ level: 'silent' }), { max: 2, name: 'postern test' });
  });
  after(async () => {
    await database.close();
    await postern.dispose();
  });

  interface Person {
    email: string;
    token: string;
  }
  type Call = (person: Person) => Promise<Reply>;

  /** Has both calls wait for the user's row, in this order, and lets them go. */
  async function inLine(first: Call, second: Call) {
    const email = `meanwhile${++count}@users.example`;
    const { body } = await postern.call('POST', '/auth/register', { json: { email, password } });
    const person = { email, token: body.token.access_token };
    await postern.call('POST', '/login', { json: { email, password } }); // a session to end
    const waiting = async () => {
      const [row] = await database.db<{ count: number }[]>`
        SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
      return row?.count;
    };
    const calls = await database.db.begin(async (tx) => {
      await tx`SELECT FROM users WHERE id = ${body.user.uuid} FOR UPDATE`;
      const one = first(person);
      await waitFor(async () => (await waiting()) === 1, { what: 'the first to wait' });
      const two = second(person);
      await waitFor(async () => (await waiting()) === 2, { what: 'the second to wait' });
      return { one, two };
    });
    return [outcome(await calls.one), outcome(await calls.two)];
  }
  const outcome = ({ status, body }: Reply) => [status, body?.code];

  const remove: Call = ({ email, token }) => postern.call('DELETE', `/users?email=${email}`, { token });
  const verify: Call = async ({ email }) => {
    const { token } = proofIn(await letterTo(postern, email));
    return postern.call('POST', '/auth/verify', { json: { token } });
  };
  const resend: Call = ({ email }) => postern.call('POST', '/auth/verify/resend', { json: { email } });
  const changePassword: Call = ({ token }) =>
    postern.call('POST', '/auth/password/change', {
      token,
      json: { current_password: password, new_password: 'Another@123' },
    });

  it('is verified before or not at all', async () => {
    assert.deepEqual(await inLine(verify, remove), [
      [200, undefined],
      [204, undefined],
    ]);
    assert.deepEqual(await inLine(remove, verify), [
      [204, undefined],
      [400, 'challenges.link_invalid'],
    ]);
  });

  it('gets another password before or not at all', async () => {
    assert.deepEqual(await inLine(changePassword, remove), [
      [204, undefined],
      [204, undefined],
    ]);
    assert.deepEqual(await inLine(remove, changePassword), [
      [204, undefined],
      [401, 'auth.invalid_credentials'],
    ]);
  });

  it('gets no new letter', async () => {
    assert.deepEqual(await inLine(remove, resend), [
      [204, undefined],
      [202, undefined],
    ]);
  });
});

describe('REGISTRATION=private', () => {
  it('S3 answers known and unknown addresses alike, writes to the owner, and logs in who has verified', async () => {
    const postern = await startPostern({ env: { REGISTRATION: 'private' } });
    try {
      const email = 'owner@private.example';
      const register = () => postern.call('POST', '/auth/register', { json: { email, password } });
      const login = () => postern.call('POST', '/login', { json: { email, password } });
      const first = await register();
      assert.equal(first.status, 202);
      const unverified = await login();
      const wrong = await postern.call('POST', '/login', { json: { email: 'no@private.example', password } });
      const plain = ({ request_id: _, ...rest }: Record<string, unknown>) => rest;
      assert.deepEqual([unverified.status, plain(unverified.body)], [401, plain(wrong.body)]);
      const { code } = proofIn(await letterTo(postern, email));
      const again = await register();
      assert.deepEqual([again.status, again.text], [first.status, first.text]);
      await letterTo(postern, email, (message) => /already have an account/.test(message.subject));
      const verified = await postern.call('POST', '/auth/verify', { basic: `${email}:${password}`, json: { code } });
      assert.equal(verified.status, 200);
      assert.equal((await login()).status, 200);
    } finally {
      await postern.dispose();
    }
  });
});

describe('REGISTRATION=closed', () => {
  it('refuses newcomers, except those an operator or a client with users:write adds', async () => {
    const env = {
      REGISTRATION: 'closed',
      BOOTSTRAP_ADMIN_EMAIL: 'root@closed.example',
      BOOTSTRAP_ADMIN_PASSWORD: password,
    };
    const postern = await startPostern({ env });
    try {
      const json = { email: 'new@closed.example', password };
      for (const path of ['/register', '/users']) {
        const reply = await postern.call('POST', path, { json });
        assert.deepEqual([reply.status, reply.body.code], [403, 'users.registration_closed']);
      }
      const admin = await postern.call('POST', '/login', { json: { email: 'root@closed.example', password } });
      assert.equal(admin.body.user.email_verified, true);
      const added = await postern.call('POST', '/users', { json, token: admin.body.token.access_token });
      assert.equal(added.status, 201);
      assert.equal((await postern.call('POST', '/login', { json })).status, 200);
    } finally {
      await postern.dispose();
    }
  });
});
