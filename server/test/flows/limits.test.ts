/** What may be tried how often, by whom (quality S4–S8). */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf, engines } from '../support/engines.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const tally = (replies: Reply[]) =>
  Object.fromEntries(Object.entries(Object.groupBy(replies, ({ status }) => status)).map(([k, v]) => [k, v?.length]));

describe('wrong passwords', () => {
  let postern: Postern;
  let other: Postern;
  let count = 0;
  before(async () => {
    postern = await startPostern({ env: { TRUST_PROXY: '127.0.0.1' } });
    other = await startPostern({ env: { TRUST_PROXY: '127.0.0.1' }, dataDir: postern.dataDir });
  });
  after(async () => {
    await other.dispose();
    await postern.dispose();
  });

  /** As the proxy on this machine tells of its clients. */
  const from = (address: string) => ({ 'x-forwarded-for': address });
  const login = (email: string, given: string, address: string, node = postern) =>
    node.call('POST', '/auth/login', { json: { email, password: given }, headers: from(address) });
  const newSource = () => `198.51.${100 + Math.floor(++count / 200)}.${count % 200}`;
  async function person() {
    const email = `user${++count}@limits.example`;
    const { status } = await postern.call('POST', '/auth/register', {
      json: { email, password },
      headers: from(newSource()),
    });
    assert.equal(status, 201);
    return email;
  }

  it('S4 S5 for one account: of 200 in parallel, over two nodes and many addresses, exactly twenty are looked at', async () => {
    const email = await person();
    const sources = Array.from({ length: 10 }, newSource);
    const began = Date.now();
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        login(i % 3 === 0 ? email.toUpperCase() : email, 'wrong', sources[i % 10] ?? '', i % 2 ? other : postern),
      ),
    );
    // One more try comes back every 30 s.
    const { 401: tried = 0, 429: refused = 0 } = tally(replies);
    const late = Math.floor((Date.now() - began) / 30_000);
    assert.ok(tried >= 20 && tried <= 20 + late, `${tried} were tried`);
    assert.equal(tried + refused, 200);
    const { body, headers } = replies.find(({ status }) => status === 429) ?? assert.fail();
    assert.equal(body.code, 'limits.account');
    assert.match(body.detail, /limits\.account: 20 wrong passwords for one account/);
    const wait = Number(headers.get('retry-after'));
    assert.ok(wait >= 1 && wait <= 30, `${wait}`);
    // The right one as well, and not only where it was refused before.
    assert.deepEqual((await login(email, password, newSource(), other)).body.code, 'limits.account');
  });

  it('S4 do not keep out the owner from where the account is in use', async () => {
    const email = await person();
    const home = newSource();
    assert.equal((await login(email, password, home)).status, 200);
    const attacks = await Promise.all(Array.from({ length: 40 }, () => login(email, 'wrong', newSource())));
    assert.ok(attacks.some(({ status }) => status === 429));
    assert.equal((await login(email, password, newSource())).status, 429);
    assert.equal((await login(email, password, home, other)).status, 200);
  });

  it('S1 S4 for nobody are refused like those for somebody', async () => {
    const source = newSource();
    const replies = await Promise.all(Array.from({ length: 30 }, () => login('nobody@limits.example', 'x', source)));
    assert.deepEqual(tally(replies), { 401: 20, 429: 10 });
    assert.equal(replies.find(({ status }) => status === 429)?.body.code, 'limits.account');
  });

  it('S6 S7 one password over many accounts is refused to the address, however it is written', async () => {
    const forms = ['203.0.113.9', '::ffff:203.0.113.9', '::FFFF:CB00:7109'];
    const replies: Reply[] = [];
    for (let i = 0; i < 60; i++)
      replies.push(await login(`spray${i}@limits.example`, password, forms[i % 3] ?? '', i % 2 ? other : postern));
    assert.equal(replies[49]?.status, 401);
    assert.deepEqual([replies[59]?.status, replies[59]?.body.code], [429, 'limits.source']);
    const email = await person();
    assert.equal((await login(email, password, forms[0] ?? '')).body.code, 'limits.source');
    assert.equal((await login(email, password, newSource())).status, 200);
  });

  it('S6 one /64 of IPv6 is one source', async () => {
    const source = (i: number) =>
      [`2001:DB8:0:7::${i.toString(16)}`, `2001:db8::7:${i.toString(16)}:0:0:1`][i % 2] ?? '';
    const replies: Reply[] = [];
    for (let i = 0; i < 60; i++) replies.push(await login(`six${i}@limits.example`, password, source(i)));
    assert.deepEqual([replies[49]?.status, replies[59]?.status], [401, 429]);
    assert.equal((await login('six@limits.example', password, '2001:db8:0:8::1')).status, 401);
  });

  it('are counted wherever a password is asked for', async () => {
    const email = await person();
    const source = newSource();
    const { body } = await login(email, password, source);
    const token = body.token.access_token;
    const elsewhere: Record<string, () => Promise<Reply>> = {
      basic: () => postern.call('GET', `/users?email=${email}`, { basic: `${email}:wrong`, headers: from(source) }),
      verify: () =>
        postern.call('POST', '/auth/verify', { basic: `${email}:wrong`, json: { code: '1' }, headers: from(source) }),
      change: () =>
        postern.call('POST', '/auth/password/change', {
          token,
          json: { current_password: 'wrong', new_password: 'Another@123' },
          headers: from(newSource()),
        }),
      address: () =>
        postern.call('POST', '/auth/email/change', {
          token,
          json: { email: 'x@limits.example', password: 'wrong' },
          headers: from(newSource()),
        }),
    };
    for (const [name, call] of Object.entries(elsewhere))
      for (let i = 0; i < 5; i++) assert.equal((await call()).status, 401, name);
    // From here the account is in use, so there are tries left; a stranger has none.
    assert.equal((await login(email, password, newSource())).body.code, 'limits.account');
    assert.equal((await login(email, password, source)).status, 200);
  });

  it('are given back where the password was right: a hundred logins are a hundred sessions', async () => {
    const email = await person();
    const source = newSource();
    const replies = await Promise.all(Array.from({ length: 100 }, () => login(email, password, source)));
    assert.deepEqual(tally(replies), { 200: 100 });
  });
});

describe('wrong codes', () => {
  it('S7 over many accounts are refused to the address after a hundred', async () => {
    const postern = await startPostern({ env: { TRUST_PROXY: '127.0.0.1', VERIFY_CODE_SECONDS: '600' } });
    try {
      const people = Array.from({ length: 36 }, (_, i) => `codes${i}@limits.example`);
      const replies = await Promise.all(
        people.map((email) => postern.call('POST', '/register', { json: { email, password } })),
      );
      assert.deepEqual(tally(replies), { 201: people.length });
      const guess = (email: string, address: string) =>
        postern.call('POST', '/auth/verify', {
          basic: `${email}:${password}`,
          json: { code: 'none' },
          headers: { 'x-forwarded-for': address },
        });
      const statuses: number[] = [];
      for (const email of people.slice(0, 35))
        for (let i = 0; i < 3; i++) statuses.push((await guess(email, '203.0.113.60')).status);
      assert.deepEqual([...new Set(statuses.slice(0, 100))], [400]);
      assert.equal(statuses.at(-1), 429);
      const refused = await guess(people[35] ?? '', '203.0.113.60');
      assert.deepEqual([refused.status, refused.body.code], [429, 'limits.source']);
      assert.equal((await guess(people[35] ?? '', '203.0.113.61')).status, 400);
    } finally {
      await postern.dispose();
    }
  });
});

const redis = engines.find(({ name }) => name === 'redis');

describe('limits in Redis', { skip: redis?.skip ?? false }, () => {
  it('S8 F7 hold over two nodes, and in PostgreSQL while Redis is away, which the log says once', async () => {
    const { env, broker, close } = (await redis?.open()) ?? assert.fail();
    const REDIS_URL = env.QUEUE_URL ?? '';
    const nodes = [await startPostern({ env: { REDIS_URL } })];
    nodes.push(await startPostern({ env: { REDIS_URL }, dataDir: nodes[0]?.dataDir ?? '' }));
    const db = connectDatabase(await databaseUrlOf(nodes[0] ?? assert.fail()), { max: 1, name: 'postern test' });
    const one = { email: 'one@limits.example', password: 'wrong' };
    const wrong = (email: string) =>
      Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          (nodes[i % 2] ?? assert.fail()).call('POST', '/login', { json: { email, password: 'wrong' } }),
        ),
      );
    try {
      assert.deepEqual(tally(await wrong(one.email)), { 401: 20, 429: 10 });
      assert.deepEqual([...(await db`SELECT FROM limits`)], [], 'PostgreSQL knows nothing of them');
      // Each node has to have been told: one of them may have made none but tries that were looked at.
      for (const node of nodes) {
        const told = async () => (await node.call('POST', '/login', { json: one })).status === 429;
        await waitFor(told, { what: 'the node to be told that there are no tries left' });
      }
      broker?.network.cut();
      assert.deepEqual(tally(await wrong(one.email)), { 429: 30 }, 'what a node knows it does not forget');
      assert.deepEqual(tally(await wrong('two@limits.example')), { 401: 20, 429: 10 });
      broker?.network.mend();
      for (const node of nodes)
        await waitFor(() => node.output().includes('Redis (REDIS_URL) is used again'), {
          what: 'Redis to be back',
          detail: node.output,
        });
      broker?.network.block();
      assert.deepEqual(tally(await wrong('three@limits.example')), { 401: 20, 429: 10 });
      for (const node of nodes) assert.equal(node.output().match(/REDIS_URL\) cannot be reached/g)?.length, 2);
    } finally {
      await db.end();
      broker?.network.mend();
      for (const node of nodes.reverse()) await node.dispose();
      await close();
    }
  });
});

describe('letters to strangers', () => {
  it('are bounded for an address, and RATE_LIMITS=off lifts that but not what is the account’s', async () => {
    const postern = await startPostern({ env: { TRUST_PROXY: '127.0.0.1' } });
    const lifted = await startPostern({ dataDir: postern.dataDir, env: { RATE_LIMITS: 'off' } });
    try {
      const ask = (node: Postern, i: number) =>
        new Promise<number>((resolve, reject) => {
          const call = request(`${node.url}/auth/verify/resend`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.50' },
          });
          call.on('response', (reply) => resolve(reply.resume().statusCode ?? 0)).on('error', reject);
          call.end(JSON.stringify({ email: `stranger${i}@limits.example` }));
        });
      const statuses: number[] = [];
      for (let i = 0; i < 1_060; i += 20)
        statuses.push(...(await Promise.all(Array.from({ length: 20 }, (_, j) => ask(postern, i + j)))));
      assert.equal(statuses.slice(0, 1_000).filter((status) => status === 202).length, 1_000);
      assert.equal(statuses.at(-1), 429);
      assert.equal(await ask(lifted, 0), 202);
      const wrong = { json: { email: 'nobody@limits.example', password: 'x' } };
      const replies = await Promise.all(Array.from({ length: 25 }, () => lifted.call('POST', '/auth/login', wrong)));
      assert.deepEqual(tally(replies), { 401: 20, 429: 5 });
    } finally {
      await lifted.dispose();
      await postern.dispose();
    }
  });
});

describe('a proxy that is not trusted', () => {
  it('S6 says nothing about the address, and the log asks once whether it should', async () => {
    const postern = await startPostern();
    try {
      const replies: Reply[] = [];
      for (let i = 0; i < 60; i++) {
        const json = { email: `u${i}@limits.example`, password };
        replies.push(await postern.call('POST', '/login', { json, headers: { 'x-forwarded-for': `192.0.2.${i}` } }));
      }
      assert.deepEqual([replies[49]?.status, replies[59]?.status], [401, 429]);
      assert.equal(postern.output().match(/set TRUST_PROXY=127\.0\.0\.1/g)?.length, 1);
    } finally {
      await postern.dispose();
    }
  });
});
