/** Passwords that are forgotten, and those that may not be set (quality S2, S9–S19). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];

describe('a forgotten password', () => {
  let postern: Postern;
  let count = 0;
  before(async () => {
    postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '600' } });
  });
  after(() => postern.dispose());

  async function person(json: object = {}) {
    const email = `user${++count}@passwords.example`;
    const { status, body } = await postern.call('POST', '/auth/register', { json: { email, password, ...json } });
    assert.equal(status, 201);
    return { email, token: body.token.access_token as string, uuid: body.user.uuid as string };
  }
  const forgot = (email: string, more: object = {}) =>
    postern.call('POST', '/auth/password/forgot', { json: { email, ...more } });
  const reset = (json: object) => postern.call('POST', '/auth/password/reset', { json });
  const login = (email: string, given: string) =>
    postern.call('POST', '/auth/login', { json: { email, password: given } }).then(({ status }) => status);
  const seen = new Set<string>();
  async function resetLetter(address: string) {
    const isNew = ({ id, text }: InboxMessage) => text.includes('/auth/password/reset?token=') && !seen.has(id);
    const message = await letterTo(postern, address, isNew);
    seen.add(message.id);
    return proofIn(message);
  }
  const wrongCodes = (right: string) => ['0000', '1111', '2222', '3333'].filter((code) => code !== right);

  it('is replaced by the link, which its page alone does not use; sessions end, the address is verified', async () => {
    const { email, token: session } = await person();
    const asked = await forgot(email.toUpperCase());
    assert.equal(asked.status, 202);
    const { token, link } = await resetLetter(email);
    for (const method of ['HEAD', 'GET', 'GET']) {
      const opened = await postern.call(method, new URL(link).pathname + new URL(link).search);
      assert.equal(opened.status, 200);
      if (method === 'GET') assert.match(opened.text, /<input id="password" name="password" type="password"/);
    }
    assert.deepEqual(outcome(await reset({ token, password: 'short' })), [400, 'http.invalid_request']);
    assert.deepEqual(outcome(await reset({ token, password: 'iloveyou' })), [400, 'users.common_password']);
    assert.equal((await reset({ token, password: 'Another@123' })).status, 204);
    assert.deepEqual([await login(email, password), await login(email, 'Another@123')], [401, 200]);
    assert.equal((await postern.call('GET', '/auth/me', { token: session })).status, 401);
    const user = await postern.call('GET', `/users?email=${email}`, { basic: `${email}:Another@123` });
    assert.equal(user.body.email_verified, true);
    assert.deepEqual(outcome(await reset({ token, password: 'Third@12345' })), [410, 'challenges.link_expired']);
    const notice = await letterTo(postern, email, ({ subject }) => subject.includes('has changed'));
    assert.match(notice.text, /new password/);
  });

  it('is replaced by a form, as the page sends it', async () => {
    const { email } = await person();
    await forgot(email);
    const { token } = await resetLetter(email);
    const form = { token, password: 'Formed@1234' };
    const headers = { accept: 'text/html' };
    const done = await postern.call('POST', '/auth/password/reset', { form, headers });
    assert.equal(done.status, 200);
    assert.match(done.text, /Your password is set/);
    assert.equal(await login(email, 'Formed@1234'), 200);
    const again = await postern.call('POST', '/auth/password/reset', { form, headers });
    assert.equal(again.status, 410);
    assert.match(again.text, /<h1>/);
  });

  it('S9 S11 is replaced by the code: three tries, and of many at once one', async () => {
    const { email } = await person();
    await forgot(email);
    const { code } = await resetLetter(email);
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => reset({ email, code, password: `Password@${1000 + i}` })),
    );
    assert.equal(replies.filter(({ status }) => status === 204).length, 1);
    assert.ok(replies.every(({ status }) => [204, 410, 429].includes(status)));

    const other = await person();
    await forgot(other.email);
    const theirs = await resetLetter(other.email);
    for (const wrong of wrongCodes(theirs.code).slice(0, 3))
      assert.deepEqual(outcome(await reset({ email: other.email, code: wrong, password })), [
        400,
        'challenges.code_invalid',
      ]);
    assert.deepEqual(outcome(await reset({ email: other.email, code: theirs.code, password: 'Another@123' })), [
      429,
      'challenges.too_many_tries',
    ]);
    assert.equal(await login(other.email, password), 200);
  });

  it('S2 looks the same for an address that nobody has, at every step', async () => {
    const known = (await person()).email;
    const unknown = 'nobody@passwords.example';
    const steps = async (email: string) => {
      const seenSteps: unknown[] = [];
      const note = ({ status, text, headers }: Reply) =>
        seenSteps.push([status, text.replace(/"request_id":"[^"]*"/, ''), headers.has('retry-after')]);
      note(await reset({ email, code: 'none', password }));
      note(await forgot(email));
      for (let i = 0; i < 4; i++) note(await reset({ email, code: 'none', password }));
      for (let i = 0; i < 5; i++) note(await forgot(email));
      note(await reset({ email, code: 'none', password }));
      return seenSteps;
    };
    const [one, other] = [await steps(known), await steps(unknown)];
    assert.deepEqual(one, other);
    assert.deepEqual(
      one.map((step) => (step as [number])[0]),
      [410, 202, 400, 400, 400, 429, 202, 202, 202, 202, 202, 400],
    );
  });

  it('S13 S14 S19 a newer letter ends the one before; no other letter will do, nor another tenant', async () => {
    const { email } = await person();
    const verification = proofIn(await letterTo(postern, email));
    assert.deepEqual(outcome(await reset({ token: verification.token, password })), [400, 'challenges.link_invalid']);
    await forgot(email);
    const first = await resetLetter(email);
    await forgot(email);
    const second = await resetLetter(email);
    assert.deepEqual(outcome(await reset({ token: first.token, password: 'Another@123' })), [
      410,
      'challenges.link_expired',
    ]);
    const elsewhere = await reset({ email, code: second.code, password: 'Another@123', server: 'elsewhere' });
    assert.deepEqual(outcome(elsewhere), [410, 'challenges.code_expired']);
    assert.equal((await reset({ token: second.token, password: 'Another@123' })).status, 204);
  });

  it('S19 S37 takes with it the change of address that a stranger began', async () => {
    const { email, token } = await person();
    const json = { email: 'stranger@passwords.example', password };
    assert.equal((await postern.call('POST', '/auth/email/change', { token, json })).status, 202);
    const isChange = ({ text }: InboxMessage) => text.includes('/auth/email/confirm?token=');
    const change = /confirm\?token=([\w-]+)/.exec((await letterTo(postern, json.email, isChange)).text)?.[1];
    await forgot(email);
    const { token: link } = await resetLetter(email);
    assert.equal((await reset({ token: link, password: 'Another@123' })).status, 204);
    assert.equal((await postern.call('POST', '/auth/email/confirm', { json: { token: change } })).status, 410);
  });

  it('S16 is not replaced by half of what is asked for, or by both', async () => {
    const { email } = await person();
    for (const json of [
      { password },
      { email, password },
      { code: '1234', password },
      { email, code: '1', token: 'x', password },
      { token: 'x' },
    ])
      assert.equal((await reset(json)).status, 400, JSON.stringify(json));
    assert.equal((await forgot('no address')).status, 400);
  });
});

describe('a password that is set', () => {
  it('S18 is none of the commonest, wherever it is set', async () => {
    const postern = await startPostern();
    try {
      const { body } = await postern.call('POST', '/register', { json: { email: 'first@rules.example', password } });
      assert.ok(body.token, 'Password@123 will do');
      const token = body.token.access_token;
      const calls: ((common: string) => Promise<Reply>)[] = [
        (common) => postern.call('POST', '/auth/register', { json: { username: 'second', password: common } }),
        (common) => postern.call('POST', '/users', { json: { email: 'third@rules.example', password: common } }),
        (common) =>
          postern.call('POST', '/auth/password/change', {
            token,
            json: { current_password: password, new_password: common },
          }),
      ];
      for (const common of ['password', 'PassWord1', '12345678', 'qwertyuiop', 'password123'])
        for (const [index, call] of calls.entries()) {
          const reply = await call(common);
          assert.deepEqual(outcome(reply), [400, 'users.common_password'], common);
          assert.equal(reply.body.errors[0].path, index === 2 ? 'new_password' : 'password');
        }
      const made = await postern.cli('users', 'create', '--username', 'fourth', '--password', 'password1');
      assert.equal(made.code, 1);
      assert.match(made.stderr, /tried first/);
    } finally {
      await postern.dispose();
    }
  });

  it('S18 is asked about where a service knows of breaches, by five digits of its hash; silence is no refusal', async () => {
    const asked: string[] = [];
    const hashOf = (text: string) => createHash('sha1').update(text).digest('hex').toUpperCase();
    let status = 200;
    const service = createServer((request, reply) => {
      asked.push(request.url ?? '');
      reply.statusCode = status;
      reply.end(`${hashOf('Leaked@1234').slice(5)}:42\r\n${hashOf('Padding@1234').slice(5)}:0\r\n`);
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/range/`;
    const postern = await startPostern({ env: { BREACHED_PASSWORDS_URL: url } });
    try {
      const register = (username: string, given: string) =>
        postern.call('POST', '/register', { json: { username, password: given } });
      assert.deepEqual(outcome(await register('one', 'Leaked@1234')), [400, 'users.common_password']);
      assert.equal((await register('one', 'Padding@1234')).status, 201);
      assert.deepEqual(
        asked,
        ['Leaked@1234', 'Padding@1234'].map((text) => `/range/${hashOf(text).slice(0, 5)}`),
      );
      status = 500;
      assert.equal((await register('two', 'Leaked@1234')).status, 201);
      assert.match(postern.output(), /BREACHED_PASSWORDS_URL\) did not answer/);
      assert.doesNotMatch(postern.output(), /Leaked@1234/);
    } finally {
      await postern.dispose();
      service.close();
    }
  });
});
