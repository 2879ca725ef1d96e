/** What administrators do about users (quality S1, S22, S41). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];

describe('administrators', () => {
  let postern: Postern;
  let other: Postern;
  let admin: string;
  let writer: string;
  let count = 0;
  before(async () => {
    const env = { VERIFY_CODE_SECONDS: '600', PUBLIC_URL: 'http://postern.example' };
    postern = await startPostern({ env });
    other = await startPostern({ dataDir: postern.dataDir, env });
    const email = 'root@admin.example';
    await postern.cli('users', 'create', '--email', email, '--password', password, '--verified', '--admin');
    admin = (await login(email)).body.token.access_token;
    const made = await postern.cli('clients', 'create', '--scope', 'users:read users:write', '--json');
    const { body } = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    writer = body.access_token;
  });
  after(async () => {
    await other.dispose();
    await postern.dispose();
  });

  const login = (email: string, given = password) =>
    postern.call('POST', '/auth/login', { json: { email, password: given } });
  async function person() {
    const email = `user${++count}@admin.example`;
    const { body } = await postern.call('POST', '/auth/register', { json: { email, password } });
    return { email, uuid: body.user.uuid as string, token: body.token };
  }
  const act = (uuid: string, what: string, token = writer) => postern.call('POST', `/users/${uuid}/${what}`, { token });

  it('S1 S22 disable a user: within a second nothing of theirs is good anywhere, and nothing tells it from a wrong password', async () => {
    const { email, uuid, token } = await person();
    assert.equal((await other.call('GET', '/auth/me', { token: token.access_token })).status, 200);
    const { token: link } = proofIn(await letterTo(postern, email));
    await postern.call('POST', '/auth/password/forgot', { json: { email } });
    const isReset = ({ text }: InboxMessage) => text.includes('/auth/password/reset?token=');
    const { token: reset, code } = proofIn(await letterTo(postern, email, isReset));
    const done = await act(uuid, 'disable');
    assert.equal(done.status, 200, done.text);
    assert.match(done.body.user.disabled_at, /^\d{4}-/);

    await waitFor(async () => (await other.call('GET', '/auth/me', { token: token.access_token })).status === 401, {
      what: 'the other node to know',
      seconds: 2,
    });
    const plain = ({ body: { request_id: _, ...rest } }: Reply) => rest;
    const [right, wrong] = [await login(email), await login(email, 'wrong')];
    assert.deepEqual([right.status, plain(right)], [401, plain(wrong)]);
    const calls = [
      postern.call('POST', '/auth/refresh', { json: { refresh_token: token.refresh_token } }),
      postern.call('GET', `/users?email=${email}`, { basic: `${email}:${password}` }),
      postern.call('POST', '/auth/verify', { json: { token: link } }),
      postern.call('POST', '/auth/password/reset', { json: { token: reset, password: 'Another@123' } }),
      postern.call('POST', '/auth/password/reset', { json: { email, code, password: 'Another@123' } }),
    ];
    assert.deepEqual(
      (await Promise.all(calls)).map(({ status }) => status),
      [401, 401, 410, 410, 410],
    );
    for (const path of ['/auth/password/forgot', '/auth/verify/resend'])
      assert.equal((await postern.call('POST', path, { json: { email } })).status, 202);

    assert.equal((await act(uuid, 'enable')).body.user.disabled_at, null);
    assert.equal((await login(email)).status, 200);
    assert.equal((await postern.call('GET', '/auth/me', { token: token.access_token })).status, 401, 'stays dead');
    const { data } = (await postern.call('GET', '/inbox/messages?limit=100')).body;
    const letters = data.filter((message: InboxMessage) => message.to.includes(email));
    assert.equal(letters.length, 2, 'while disabled no letter was written');
  });

  it('do the same by the command line, by address or by UUID, in one tenant only', async () => {
    const { email, uuid, token } = await person();
    const disabled = await postern.cli('users', 'disable', email.toUpperCase(), '--json');
    assert.equal(disabled.code, 0, disabled.stderr);
    assert.equal(JSON.parse(disabled.stdout).uuid, uuid);
    assert.match(JSON.parse(disabled.stdout).disabled_at, /^\d{4}-/);
    await waitFor(async () => (await other.call('GET', '/auth/me', { token: token.access_token })).status === 401, {
      what: 'the other node to know',
      seconds: 2,
    });
    assert.equal((await login(email)).status, 401);

    const enabled = await postern.cli('users', 'enable', uuid);
    assert.deepEqual([enabled.code, enabled.stdout.trim()], [0, `Enabled the user ${uuid}.`]);
    assert.equal((await login(email)).status, 200);

    await postern.cli('tenants', 'create', 'neighbours');
    const foreign = await postern.cli('users', 'disable', uuid, '--tenant', 'neighbours');
    assert.deepEqual([foreign.code, foreign.stdout], [1, '']);
    assert.equal((await login(email)).status, 200);
  });

  it('cancel with it what mail of theirs waits', async () => {
    const { uuid, token } = await person();
    const json = {
      to: 'x@elsewhere.example',
      subject: 'later',
      text: 'x',
      scheduled_at: new Date(Date.now() + 3_600_000),
    };
    const mine = await postern.call('POST', '/emails', { token: token.access_token, json });
    const others = await postern.call('POST', '/emails', { token: admin, json });
    assert.equal((await act(uuid, 'disable')).status, 200);
    const statusOf = async ({ body }: Reply) =>
      (await postern.call('GET', `/emails/${body.id}`, { token: admin })).body.status;
    assert.deepEqual([await statusOf(mine), await statusOf(others)], ['canceled', 'scheduled']);
  });

  it('see one user in full, take the address as verified, and end the sessions', async () => {
    const { email, uuid, token } = await person();
    await login(email);
    const seen = await postern.call('GET', `/users/${uuid.toUpperCase()}`, { token: writer });
    assert.deepEqual([seen.body.email_verified, seen.body.disabled_at, seen.body.scopes], [false, null, []]);
    assert.equal((await act(uuid, 'verify')).body.user.email_verified, true);
    const sessions = await postern.call('GET', `/users/${uuid}/sessions`, { token: writer });
    assert.deepEqual([sessions.body.data.length, sessions.body.data[0].current], [2, false]);
    assert.equal((await postern.call('DELETE', `/users/${uuid}/sessions`, { token: writer })).status, 204);
    assert.equal((await postern.call('GET', '/auth/me', { token: token.access_token })).status, 401);
    assert.deepEqual((await postern.call('GET', `/users/${uuid}/sessions`, { token: writer })).body.data, []);
    assert.equal((await login(email)).status, 200);
  });

  it('S41 are not above those who hold every right, nor in another tenant, and users are none of them', async () => {
    const { token, uuid } = await person();
    const root = (await postern.call('GET', '/users?email=root@admin.example', { token: admin })).body.uuid;
    const foreign = await postern.call('POST', '/register', {
      json: { email: 'x@admin.example', password, server: 'elsewhere' },
    });
    const absent = '01890000-0000-7000-8000-000000000000';
    for (const [method, path] of [
      ['POST', 'disable'],
      ['POST', 'enable'],
      ['POST', 'verify'],
      ['DELETE', 'sessions'],
      ['DELETE', 'second-factors'],
      ['DELETE', ''],
    ] as const) {
      const call = (id: string, bearer: string) =>
        postern.call(method, `/users/${id}${path && `/${path}`}`, { token: bearer });
      assert.equal((await call(root, writer)).status, 403, path);
      // Themselves anybody may delete.
      if (path !== '') assert.equal((await call(uuid, token.access_token)).status, 403, path);
      assert.deepEqual(outcome(await call(foreign.body.user.uuid, writer)), [404, 'users.not_found'], path);
      assert.deepEqual(outcome(await call(absent, writer)), [404, 'users.not_found'], path);
      assert.deepEqual(outcome(await call('nonsense', writer)), [404, 'users.not_found'], path);
    }
    const byEmail = await postern.call('DELETE', '/users?email=root@admin.example', { token: writer });
    assert.equal(byEmail.status, 403);
    assert.equal((await postern.call('GET', `/users/${uuid}`, { token: token.access_token })).status, 403);
    const nameless = await postern.call('POST', '/register', { json: { username: 'nameless', password } });
    assert.equal((await act(nameless.body.user.uuid, 'verify')).status, 400);
  });

  it('read who did what, by page, user and kind', async () => {
    const { email, uuid } = await person();
    await login(email);
    await act(uuid, 'disable');
    const read = (query: string, token = admin) => postern.call('GET', `/audit?${query}`, { token });
    const { status, body } = await read(`user=${uuid}`);
    assert.equal(status, 200);
    const types = body.data.map((entry: { type: string }) => entry.type);
    assert.deepEqual(types, ['user.disabled', 'user.logged_in', 'user.logged_in', 'user.registered']);
    const [disabled, loggedIn] = body.data;
    assert.match(disabled.actor, /^client:/);
    assert.deepEqual([loggedIn.actor, loggedIn.user, loggedIn.ip], [`user:${uuid}`, uuid, '127.0.0.1']);
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const page = (await read(`user=${uuid}&limit=3${after}`)).body;
      seen.push(...page.data.map((entry: { type: string }) => entry.type));
      if (!page.has_more) break;
      after = `&after=${page.data.at(-1).id}`;
    }
    assert.deepEqual(seen, types);
    const ofKind = (await read('type=user.disabled&limit=100')).body.data;
    assert.ok(ofKind.length >= 1 && ofKind.every((entry: { type: string }) => entry.type === 'user.disabled'));
    assert.equal((await read('', writer)).status, 403);
    assert.equal((await read('limit=0')).status, 400);
  });

  it('and users themselves get everything that is known about them, and nothing of others', async () => {
    const { email, uuid, token } = await person();
    const proof = proofIn(await letterTo(postern, email));
    const both = [email, `someone${count}@admin.example`];
    const sent = await postern.call('POST', '/emails', {
      token: admin,
      json: { to: both, subject: 'to both', text: 'x' },
    });
    assert.equal(sent.status, 202);
    // Once both letters are settled: what waits still holds its code, and the two exports are to say the same of it.
    const own = await waitFor(
      async () => {
        const reply = await postern.call('GET', '/auth/export', { token: token.access_token });
        assert.equal(reply.status, 200);
        return reply.body.emails.every((one: { status: string }) => one.status === 'sent') && reply;
      },
      { what: 'both letters to be settled', detail: postern.output },
    );
    assert.match(own.headers.get('content-disposition') ?? '', /^attachment; filename="user-/);
    assert.deepEqual(Object.keys(own.body), [
      'exported_at',
      'user',
      'sessions',
      'identities',
      'second_factors',
      'emails',
      'audit',
    ]);
    assert.deepEqual([own.body.user.uuid, own.body.user.has_password, own.body.sessions.length], [uuid, true, 1]);
    assert.deepEqual(
      own.body.emails.map((one: { subject: string }) => /to both|is your code/.exec(one.subject)?.[0]).sort(),
      ['is your code', 'to both'],
    );
    assert.deepEqual(own.body.audit.map((entry: { type: string }) => entry.type).sort(), [
      'user.logged_in',
      'user.registered',
    ]);
    assert.ok(!own.text.includes('someone') && !own.text.includes('$argon2'));
    const byAdmin = await postern.call('GET', `/users/${uuid}/export`, { token: admin });
    assert.deepEqual(byAdmin.body.emails, own.body.emails);
    assert.equal((await postern.call('GET', `/users/${uuid}/export`, { token: writer })).status, 403);
    assert.ok(!own.text.includes(proof.token) && !own.text.includes(`code is ${proof.code}`), 'codes are redacted');
  });
});
