/** Production as an operator runs it: two API nodes and a worker on one PostgreSQL, mail over SMTP (quality S22, S24, S53, S54). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { hash } from '@node-rs/argon2';
import { testDatabase } from '../support/database.ts';
import { type Sink, startSink } from '../support/smtp-sink.ts';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Correct-horse-7f3a';
const clientSecret = 'bootstrap-secret-91c4e2';
const adminPassword = 'Admin-pass-55d0';

describe('in production', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let sink: Sink;
  let nodes: Postern[] = [];
  let one: Postern;
  let two: Postern;

  before(async () => {
    database = await testDatabase();
    sink = await startSink();
    const env = {
      DATABASE_URL: database.url,
      SMTP_URL: sink.url,
      SECRET_KEY: randomBytes(32).toString('base64'),
      MAIL_FROM: 'Postern <no-reply@production.example>',
      PUBLIC_URL: 'https://id.production.example',
      LOG_LEVEL: 'trace',
      BOOTSTRAP_ADMIN_EMAIL: 'root@production.example',
      BOOTSTRAP_ADMIN_PASSWORD: adminPassword,
      BOOTSTRAP_CLIENT_ID: 'back-end',
      BOOTSTRAP_CLIENT_SECRET: clientSecret,
      BOOTSTRAP_CLIENT_SCOPE: 'basic email users:read',
    };
    nodes = await Promise.all([
      startPostern({ env, args: ['--role', 'api'] }),
      startPostern({ env, args: ['--role', 'api'] }),
      startPostern({ env, args: ['--role', 'worker'], headless: true }),
    ]);
    const [first, second] = nodes;
    assert.ok(first && second);
    [one, two] = [first, second];
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.dispose()));
    await sink.close();
    await database.close();
  });

  const letterTo = (address: string) =>
    waitFor(() => sink.received.find(({ rcptTo }) => rcptTo.includes(address))?.raw, {
      what: `a letter to ${address}`,
      detail: () => nodes.map((node) => node.output()).join('\n'),
    });
  /** Code and link token, wherever the letter's encoding has broken its lines. */
  const proofIn = (raw: string) => {
    const text = raw.replaceAll('=\r\n', '').replaceAll('=3D', '=');
    const [, code = ''] = /^Subject: (\d{4}) /m.exec(text) ?? [];
    const [, token = ''] = /verify\?token=([\w-]{43})/.exec(text) ?? [];
    return { code, token };
  };

  it('S54 nodes that start together make one administrator and one client, and there is no other login', async () => {
    const admins = await database.db`SELECT FROM users WHERE 'admin' = ANY(scopes)`;
    const clients = await database.db`SELECT FROM clients`;
    assert.deepEqual([admins.length, clients.length], [1, 1]);
    const everybody = await database.db`SELECT FROM users`;
    assert.equal(everybody.length, 1);
    const admin = { email: 'root@production.example', password: adminPassword };
    assert.equal((await two.call('POST', '/login', { json: admin })).status, 200);
  });

  it('has no dev inbox, makes no tenant that is only named, and speaks of HTTPS', async () => {
    for (const path of ['/inbox', '/inbox/messages']) assert.equal((await one.call('GET', path)).status, 404);
    for (const [path, json] of [
      ['/register', { username: 'x', password, server: 'new-site' }],
      ['/login', { username: 'x', password, server: 'new-site' }],
      ['/auth/verify/resend', { email: 'x@y.example', server: 'new-site' }],
    ] as const) {
      const reply = await one.call('POST', path, { json });
      assert.deepEqual([reply.status, reply.body.code], [404, 'tenants.unknown'], path);
    }
    const { headers } = await one.call('GET', '/');
    assert.match(headers.get('strict-transport-security') ?? '', /max-age=\d{7,}/);
  });

  it("S17 gives a password that was hashed with weaker parameters today's at the next login", async () => {
    const email = 'weak@production.example';
    assert.equal((await one.call('POST', '/users', { json: { email, password } })).status, 201);
    const weak = await hash(password, { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
    await database.db`UPDATE users SET password_hash = ${weak} WHERE email = ${email}`;
    const login = (secret: string) => one.call('POST', '/login', { json: { email, password: secret } });
    const stored = async () => (await database.db`SELECT password_hash FROM users WHERE email = ${email}`)[0];
    assert.equal((await login('something else')).status, 401);
    assert.equal((await stored())?.password_hash, weak);
    assert.equal((await login(password)).status, 200);
    assert.match((await stored())?.password_hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    assert.equal((await login(password)).status, 200);
  });

  it('S22 S24 S53 runs through everything, dead is dead on both nodes, and no log and no row holds a secret', async () => {
    const secrets = new Set([password, adminPassword, clientSecret, 'New-password-8c1d', 'wrong-guess-77aa']);
    const call = async (node: Postern, path: string, options: CallOptions, status: number) => {
      const reply = await node.call('POST', path, options);
      assert.equal(reply.status, status, `${path} ${reply.text}`);
      const token = reply.body?.token ?? reply.body;
      for (const name of ['access_token', 'refresh_token']) if (token?.[name]) secrets.add(token[name]);
      return reply.body;
    };
    const email = 'ann@production.example';
    const registered = await call(one, '/register', { json: { email, password, name: 'Ann' } }, 201);
    const { code, token: link } = proofIn(await letterTo(email));
    assert.ok(code && link);
    secrets.add(link);
    await call(two, '/auth/verify', { basic: `${email}:wrong-guess-77aa`, json: { code } }, 401);
    await call(two, '/auth/verify', { basic: `${email}:${password}`, json: { code } }, 200);
    await call(one, '/auth/verify', { json: { token: link } }, 410);
    await call(one, '/login', { json: { email, password: 'wrong-guess-77aa' } }, 401);
    await call(one, '/login', { body: `{"email":"${email}","password":"${password}"`, headers: json }, 400);
    const { token } = await call(two, '/login', { json: { email, password } }, 200);
    const refreshed = await call(one, '/auth/refresh', { json: { refresh_token: token.refresh_token } }, 200);
    const change = { current_password: password, new_password: 'New-password-8c1d' };
    await call(one, '/auth/password/change', { json: change, token: refreshed.token.access_token }, 204);
    await call(two, '/auth/logout', { token: refreshed.token.access_token }, 204);
    const client = { client_id: 'back-end', client_secret: clientSecret, grant_type: 'client_credentials' };
    const granted = await call(one, '/oauth/token', { json: client }, 200);
    await call(one, '/oauth/token', { json: { ...client, client_secret: 'wrong-guess-77aa' } }, 401);
    await call(two, '/oauth/introspect', { form: { ...client, token: granted.access_token } }, 200);
    await call(two, '/oauth/revoke', { form: { ...client, token: granted.access_token } }, 200);
    for (const node of [one, two]) {
      for (const dead of [registered.token.access_token, refreshed.token.access_token, granted.access_token]) {
        await waitFor(async () => (await node.call('GET', '/users', { token: dead })).status === 401, {
          what: 'a dead token to be refused',
          seconds: 5,
        });
      }
    }

    const logs = nodes.map((node) => node.output()).join('\n');
    const tables = await database.db<{ name: string }[]>`
      SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = 'public'`;
    let dump = '';
    for (const { name } of tables) {
      dump += (await database.db.unsafe(`SELECT t::text AS row FROM ${name} t`)).map(({ row }) => `${row}\n`).join('');
    }
    assert.ok(dump.includes(email) && logs.includes('ready on'), 'there is something to look into');
    assert.ok(secrets.size > 9);
    for (const secret of secrets) {
      const spellings = [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')];
      for (const spelling of spellings) {
        assert.ok(!logs.includes(spelling), `a log holds ${secret}`);
        assert.ok(!dump.includes(spelling), `a row holds ${secret}`);
      }
    }
    assert.ok(!/authorization/i.test(logs), 'a log holds an Authorization header');
    assert.ok(!logs.includes(`${code} is your code`) && !dump.includes(`${code} is your code`), 'the code');
  });
});

const json = { 'content-type': 'application/json' };
