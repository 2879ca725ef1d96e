/** Codes and links under attack (quality S9–S16). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

describe('codes and links', () => {
  let postern: Postern;
  let count = 0;
  before(async () => {
    // A minute is over soon when 200 passwords are hashed on a busy machine.
    postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '600' } });
  });
  after(() => postern.dispose());

  async function newcomer() {
    const email = `user${++count}@codes.example`;
    const { status } = await postern.call('POST', '/auth/register', { json: { email, password } });
    assert.equal(status, 201);
    return { email, ...proofIn(await letterTo(postern, email)) };
  }
  const verify = (email: string, code: string) =>
    postern.call('POST', '/auth/verify', { basic: `${email}:${password}`, json: { code } });
  const resend = (email: string) => postern.call('POST', '/auth/verify/resend', { json: { email } });
  const wrongCodes = (right: string, howMany: number) =>
    Array.from({ length: howMany + 1 }, (_, i) => String(i).padStart(4, '0'))
      .filter((code) => code !== right)
      .slice(0, howMany);
  const tally = (replies: Reply[]) => Object.groupBy(replies, (reply) => String(reply.status));
  const isVerified = async (email: string) => {
    const reply = await postern.call('GET', `/users?email=${email}`, { basic: `${email}:${password}` });
    return reply.body.email_verified;
  };

  it('S9 the right code as 4th guess is refused', async () => {
    const { email, code } = await newcomer();
    for (const wrong of wrongCodes(code, 3)) {
      const reply = await verify(email, wrong);
      assert.equal(reply.status, 400);
      assert.equal(reply.body.code, 'challenges.code_invalid');
    }
    const fourth = await verify(email, code);
    assert.equal(fourth.status, 429);
    assert.equal(fourth.body.code, 'challenges.too_many_tries');
    assert.ok(Number(fourth.headers.get('retry-after')) >= 1);
    assert.equal(await isVerified(email), false);
  });

  it('S10 of 200 parallel guesses at most 3 are evaluated', async () => {
    const { email, code } = await newcomer();
    const replies = await Promise.all(wrongCodes(code, 200).map((guess) => verify(email, guess)));
    const { 400: evaluated = [], 429: refused = [], 503: overloaded = [] } = tally(replies);
    assert.ok(evaluated.length <= 3, `${evaluated.length} were evaluated`);
    // Each costs a password's hash: a machine that is busy otherwise turns some away.
    assert.equal(evaluated.length + refused.length + overloaded.length, 200);
  });

  it('S11 the right code 50 times in parallel succeeds once', async () => {
    const { email, code } = await newcomer();
    const replies = await Promise.all(Array.from({ length: 50 }, () => verify(email, code)));
    assert.equal(tally(replies)['200']?.length, 1);
    assert.ok(replies.every(({ status }) => [200, 410, 429, 503].includes(status)));
    assert.equal(await isVerified(email), true);
  });

  it('S13 a new letter kills the old code and link, and does not give wrong tries back beyond 10 an hour', async () => {
    const first = await newcomer();
    let { code } = first;
    let wrong = 0;
    const seen = new Set([first.token]);
    for (let letter = 1; letter <= 4; letter++) {
      for (const guess of wrongCodes(code, letter === 4 ? 1 : 3)) {
        wrong++;
        assert.equal((await verify(first.email, guess)).status, 400);
      }
      if (letter === 4) break;
      assert.equal((await resend(first.email)).status, 202);
      const next = proofIn(await letterTo(postern, first.email, (message) => !seen.has(proofIn(message).token)));
      seen.add(next.token);
      code = next.code;
    }
    assert.equal(wrong, 10);
    const eleventh = await verify(first.email, code);
    assert.equal(eleventh.status, 429);
    assert.ok(Number(eleventh.headers.get('retry-after')) > 60, 'until the hour is over');
    const oldLink = await postern.call('POST', '/auth/verify', { json: { token: first.token } });
    assert.equal(oldLink.status, 410);
  });

  it('an address gets at most 5 letters an hour, and every answer is 202', async () => {
    const { email } = await newcomer();
    const answers = await Promise.all(Array.from({ length: 12 }, () => resend(email)));
    assert.ok(answers.every(({ status, text }) => status === 202 && text === answers[0]?.text));
    const unknown = await resend('nobody@codes.example');
    assert.deepEqual([unknown.status, unknown.text], [202, answers[0]?.text]);
    const letters = async () => (await postern.call('GET', `/inbox/messages?to=${email}&limit=20`)).body.data.length;
    await waitFor(async () => (await letters()) === 5, { what: 'all five letters' });
    // The letter of another address is accepted later, so it comes behind whatever was still to come.
    await newcomer();
    assert.equal(await letters(), 5);
  });

  it('S14 a code of another address or tenant is refused', async () => {
    const one = await newcomer();
    const other = await newcomer();
    if (one.code !== other.code) assert.equal((await verify(one.email, other.code)).status, 400);
    const elsewhere = await postern.call('POST', '/auth/verify', {
      basic: `${one.email}:${password}`,
      json: { code: one.code, server: 'other-site' },
    });
    assert.equal(elsewhere.status, 401);
  });

  it('S15 a malformed Basic credential is answered with 400 or 401', async () => {
    for (const authorization of [
      'Basic',
      'Basic !!!',
      'Basic Zm9v',
      'Basic Og==',
      'Basic //79',
      'Basic dXNlcjpw,Basic dXNlcjpw',
      `Basic ${'A'.repeat(9_000)}`,
      'Bearer x',
      'nonsense',
    ]) {
      const { status } = await postern.call('POST', '/auth/verify', {
        json: { code: '0000' },
        headers: { authorization },
      });
      assert.ok(status === 400 || status === 401, `${authorization.slice(0, 40)}: ${status}`);
    }
  });

  it('S16 reading a link verifies nothing; it has 128 bits and the public URL, whatever the Host header', async () => {
    const { email, link, token } = await newcomer();
    assert.ok(Buffer.from(token, 'base64url').length >= 16);
    assert.ok(link.startsWith(`http://localhost:${postern.port}/auth/verify?token=`));
    for (const method of ['GET', 'HEAD', 'GET']) {
      const reply = await postern.call(method, `/auth/verify?token=${token}`);
      assert.equal(reply.status, 200);
      assert.match(reply.headers.get('content-type') ?? '', /text\/html/);
    }
    assert.equal(await isVerified(email), false);
    const escaped = await postern.call('GET', `/auth/verify?token=${encodeURIComponent('"><script>')}`);
    assert.ok(!escaped.text.includes('<script>'));
    const pressed = await postern.call('POST', '/auth/verify', { form: { token } });
    assert.equal(pressed.status, 200);
    assert.match(pressed.headers.get('content-type') ?? '', /text\/html/);
    assert.equal(await isVerified(email), true);
    const again = await postern.call('POST', '/auth/verify', { json: { token } });
    assert.deepEqual([again.status, again.body.code], [410, 'challenges.link_expired']);
    const wrong = await postern.call('POST', '/auth/verify', { json: { token: 'x'.repeat(43) } });
    assert.deepEqual([wrong.status, wrong.body.code], [400, 'challenges.link_invalid']);
  });

  it('does not put code or link into the history that others may read', async () => {
    const { email, code, token } = await newcomer();
    const client = await postern.cli('clients', 'create', '--id', `reader${count}`, '--scope', 'mail:admin', '--json');
    assert.equal(client.code, 0, client.stderr);
    const { client_id, client_secret } = JSON.parse(client.stdout);
    const granted = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', client_id, client_secret },
    });
    const list = await postern.call('GET', `/emails?to=${email}`, { token: granted.body.access_token });
    assert.equal(list.status, 200);
    assert.ok(list.body.data.length > 0);
    assert.ok(!list.text.includes(token) && !list.body.data[0].subject.includes(code));
  });
});

describe('a code with one second to live', () => {
  it('S12 is refused with 410 once the second is over, its link is not', async () => {
    const postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '1' } });
    try {
      const email = 'late@codes.example';
      await postern.call('POST', '/auth/register', { json: { email, password } });
      const { code, token } = proofIn(await letterTo(postern, email));
      const db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
      // By the database's clock, and without a guess: three of them would end the code as well.
      const isOver = async () => (await db`SELECT code_expires_at < now() AS over FROM challenges`)[0]?.over;
      await waitFor(isOver, { what: 'the code to end' });
      await db.end();
      const late = await postern.call('POST', '/auth/verify', { basic: `${email}:${password}`, json: { code } });
      assert.deepEqual([late.status, late.body.code], [410, 'challenges.code_expired']);
      const byLink = await postern.call('POST', '/auth/verify', { json: { token } });
      assert.equal(byLink.status, 200);
      assert.equal(byLink.body.user.email_verified, true);
    } finally {
      await postern.dispose();
    }
  });
});
