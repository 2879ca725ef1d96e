/** API keys: what they open, on two nodes of one database, and what ends them (quality S22, S24, S41, S53). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

describe('API keys', () => {
  let one: Postern;
  let two: Postern;
  let database: OpenDatabase;
  const made: { id: string; key: string }[] = [];
  before(async () => {
    one = await startPostern({ env: { LOG_LEVEL: 'trace' } });
    two = await startPostern({ dataDir: one.dataDir });
    const log = pino({ level: 'silent' });
    database = await openDatabase({ databaseUrl: undefined, dataDir: one.dataDir }, log, {
      max: 2,
      name: 'postern test',
    });
  });
  after(async () => {
    await database.close();
    await two.dispose();
    await one.dispose();
  });

  async function create(...args: string[]): Promise<{ id: string; key: string; [name: string]: unknown }> {
    const { code, stdout, stderr } = await one.cli('keys', 'create', '--json', ...args);
    assert.equal(code, 0, stderr);
    const answer = JSON.parse(stdout);
    made.push(answer);
    return answer;
  }
  const list = async (...args: string[]) => (await one.cli('keys', 'list', '--json', ...args)).stdout;
  const users = async (node: Postern, token: string) => (await node.call('GET', '/users', { token })).status;
  const deadEverywhere = async (key: string) => {
    for (const node of [one, two]) {
      await waitFor(async () => (await users(node, key)) === 401, { what: 'a node to refuse the key', seconds: 5 });
    }
  };

  it('send mail and read it again, within their scopes', async () => {
    const { id, key, ...rest } = await create('--name', 'shop', '--scope', 'email users:read');
    assert.match(key, /^pk_[\w-]{43}$/);
    assert.deepEqual(rest, { name: 'shop', scope: 'email users:read', tenant: 'default', expires_at: null });
    const letter = { to: 'ann@keys.example', subject: 'Hello', text: 'It works.' };
    const sent = await one.call('POST', '/emails', { token: key, json: letter });
    assert.equal(sent.status, 202, sent.text);
    const read = await two.call('GET', `/emails/${sent.body.id}`, { token: key });
    assert.deepEqual([read.status, read.body.subject], [200, 'Hello']);
    const other = await create('--name', 'other', '--scope', 'email');
    assert.equal((await one.call('GET', `/emails/${sent.body.id}`, { token: other.key })).status, 404, 'not its own');
    await waitFor(async () => JSON.parse(await list()).find((row: { id: string }) => row.id === id).last_used_at, {
      what: 'the use to be noted',
    });
  });

  it('are refused with 403 where a scope lacks, and where only a user can act', async () => {
    const { key } = await create('--name', 'reader', '--scope', 'users:read basic');
    const refused = await one.call('POST', '/emails', { token: key, json: { to: 'a@keys.example', subject: 'x' } });
    assert.deepEqual([refused.status, refused.body.code], [403, 'auth.insufficient_scope']);
    assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope/);
    const me = await one.call('GET', '/auth/me', { token: key });
    assert.deepEqual([me.status, me.body.code], [403, 'auth.users_only']);
  });

  it('S41 see nothing of another tenant', async () => {
    assert.equal((await one.cli('tenants', 'create', 'elsewhere')).code, 0);
    const here = await create('--name', 'here', '--scope', 'admin');
    const there = await create('--name', 'there', '--scope', 'admin', '--tenant', 'elsewhere');
    const { body } = await one.call('POST', '/register', { json: { email: 'bob@keys.example', password } });
    const letter = { to: 'bob@keys.example', subject: 'Hello' };
    const sent = await one.call('POST', '/emails', { token: here.key, json: letter });
    const reach = (method: string, path: string, { key }: { key: string }) =>
      one.call(method, path, { token: key }).then(({ status }) => status);
    assert.equal(await reach('GET', `/emails/${sent.body.id}`, here), 200);
    assert.equal(await reach('GET', `/emails/${sent.body.id}`, there), 404);
    assert.equal(await reach('GET', '/users?email=bob@keys.example', there), 404);
    assert.equal(await reach('DELETE', `/users/${body.user.uuid}`, there), 404);
    assert.equal(await reach('GET', '/users?email=bob@keys.example', here), 200);
    assert.deepEqual(
      JSON.parse(await list('--tenant', 'elsewhere')).map((row: { id: string }) => row.id),
      [there.id],
    );
  });

  it('S22 that are revoked are dead on both nodes, for good, and others live on', async () => {
    const { id, key } = await create('--name', 'doomed', '--scope', 'users:read');
    const { key: living } = await create('--name', 'living', '--scope', 'users:read');
    assert.deepEqual([await users(one, key), await users(two, key)], [200, 200]);
    assert.equal((await one.cli('keys', 'revoke', id)).code, 0);
    await deadEverywhere(key);
    assert.equal((await one.cli('keys', 'revoke', id)).code, 0, 'once more changes nothing');
    assert.deepEqual([await users(one, living), await users(two, living)], [200, 200]);
    for (const absent of [crypto.randomUUID(), 'nonsense']) {
      const { code, stderr } = await one.cli('keys', 'revoke', absent);
      assert.equal(code, 1);
      assert.match(stderr, /There is no API key/);
    }
  });

  it('that have expired are refused', async () => {
    const { id, key, expires_at } = await create('--name', 'brief', '--scope', 'users:read', '--expires-days', '2');
    const days = (Date.parse(String(expires_at)) - Date.now()) / 86_400_000;
    assert.ok(days > 1.9 && days <= 2);
    assert.equal(await users(one, key), 200);
    await database.db`UPDATE api_keys SET expires_at = now() WHERE id = ${id}`;
    await deadEverywhere(key);
  });

  it('that were made up are refused as any wrong credential is', async () => {
    for (const key of ['pk_', `pk_${'x'.repeat(43)}`, `pk_${'x'.repeat(500)}`, 'pk_é', `${made[0]?.key}x`]) {
      const reply = await one.call('GET', '/users', { headers: { authorization: `Bearer ${key}` } });
      assert.deepEqual([reply.status, reply.body.code], [401, 'auth.unauthorized'], key);
      assert.match(reply.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/);
    }
  });

  it('are not made from nonsense', async () => {
    for (const [args, exitCode, reason] of [
      [['--scope', 'email'], 2, /--name is needed/],
      [['--name', 'x'], 2, /--scope is needed/],
      [['--name', 'x', '--scope', 'emial'], 1, /"emial" is not one of: basic, email/],
      [['--name', 'x', '--scope', ' '], 1, /at least one scope/],
      [['--name', 'x', '--scope', 'email', '--expires-days', '-1'], 2, /expires-days/],
      [['--name', 'x', '--scope', 'email', '--tenant', 'nowhere'], 1, /no tenant/],
    ] as const) {
      const { code, stderr } = await one.cli('keys', 'create', ...args);
      assert.equal(code, exitCode, stderr);
      assert.match(stderr, reason);
    }
  });

  it('S24 S53 stand in clear in no list, no log and no row', async () => {
    const tables = await database.db<{ name: string }[]>`
      SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = 'public'`;
    let dump = `${one.output()}${two.output()}${await list()}${(await one.cli('keys', 'list')).stdout}`;
    for (const { name } of tables) {
      dump += (await database.db.unsafe(`SELECT t::text AS row FROM ${name} t`)).map(({ row }) => row).join('\n');
    }
    assert.ok(made.length > 5);
    for (const { id, key } of made) {
      assert.ok(dump.includes(id));
      assert.ok(!dump.includes(key.slice(3)), 'the key');
      assert.ok(!dump.includes(Buffer.from(key).toString('hex')), 'its bytes');
    }
    const audit = await database.db<{ type: string; count: number }[]>`
      SELECT type, count(*)::int AS count FROM audit_events WHERE type LIKE 'api_key.%' GROUP BY type ORDER BY type`;
    assert.deepEqual(
      audit.map(({ type, count }) => [type, count]),
      [
        ['api_key.created', made.length],
        ['api_key.revoked', 1],
      ],
    );
  });
});
