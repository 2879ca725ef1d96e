/** Logging in by letter, and the pages on which people do it and look after their account (quality S2, S9–S14, S37, S39). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser } from '../support/browser.ts';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];
let count = 0;
const fresh = () => `user${++count}@pages.example`;

async function register(postern: Postern, email: string) {
  const { status, body } = await postern.call('POST', '/auth/register', { json: { email, password } });
  assert.equal(status, 201);
  return body;
}
async function verifiedUser(postern: Postern) {
  const email = fresh();
  const { user, token } = await register(postern, email);
  const { token: link } = proofIn(await letterTo(postern, email));
  assert.equal((await postern.call('POST', '/auth/verify', { json: { token: link } })).status, 200);
  return { email, uuid: user.uuid as string, token: token.access_token as string };
}
const isLogIn = ({ text }: InboxMessage) => text.includes('/auth/otp/verify?token=');

describe('logging in by letter', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '600' } });
  });
  after(() => postern.dispose());
  const ask = (email: string, more: object = {}) => postern.call('POST', '/auth/otp', { json: { email, ...more } });
  const verify = (json: object) => postern.call('POST', '/auth/otp/verify', { json });

  it('gives tokens for the code, once, of many at once too', async () => {
    const { email, uuid } = await verifiedUser(postern);
    const { status, body } = await ask(email);
    assert.deepEqual([status, Object.keys(body)], [202, ['challenge_id']]);
    const { code } = proofIn(await letterTo(postern, email, isLogIn));
    const given = { challenge_id: body.challenge_id, code };
    const replies = await Promise.all(Array.from({ length: 20 }, () => verify(given)));
    const done = replies.filter((reply) => reply.status === 200);
    assert.equal(done.length, 1);
    assert.equal(done[0]?.body.user.uuid, uuid);
    const me = await postern.call('GET', '/auth/me', { token: done[0]?.body.token.access_token });
    assert.equal(me.body.email, email);
    assert.deepEqual(outcome(await verify(given)), [410, 'challenges.code_expired']);
  });

  it('gives tokens for the token of the link, once', async () => {
    const { email, uuid } = await verifiedUser(postern);
    await ask(email);
    const { token } = proofIn(await letterTo(postern, email, isLogIn));
    const done = await verify({ token });
    assert.deepEqual([done.status, done.body.user.uuid], [200, uuid]);
    assert.deepEqual(outcome(await verify({ token })), [410, 'challenges.link_expired']);
    assert.deepEqual(outcome(await verify({ token: 'x' })), [400, 'challenges.link_invalid']);
  });

  it('S9 S13 S14 takes three tries, the newest letter, and no other', async () => {
    const { email } = await verifiedUser(postern);
    const first = (await ask(email)).body.challenge_id;
    const old = proofIn(await letterTo(postern, email, isLogIn));
    const second = (await ask(email)).body.challenge_id;
    assert.deepEqual(outcome(await verify({ challenge_id: first, code: old.code })), [410, 'challenges.code_expired']);
    for (let i = 0; i < 3; i++)
      assert.deepEqual(outcome(await verify({ challenge_id: second, code: 'none' })), [400, 'challenges.code_invalid']);
    const { code } = proofIn(await letterTo(postern, email, (one) => isLogIn(one) && !one.text.includes(old.token)));
    assert.deepEqual(outcome(await verify({ challenge_id: second, code })), [429, 'challenges.too_many_tries']);
    await postern.call('POST', '/auth/password/forgot', { json: { email } });
    const isReset = ({ text }: InboxMessage) => text.includes('/auth/password/reset?token=');
    const { token } = proofIn(await letterTo(postern, email, isReset));
    assert.equal((await verify({ token })).status, 400);
    for (const json of [{}, { code }, { challenge_id: second }, { challenge_id: second, code, token }])
      assert.equal((await verify(json)).status, 400);
    assert.equal((await verify({ challenge_id: 'nonsense', code })).status, 410);
  });

  it('S2 looks the same for an address that nobody has', async () => {
    const { email: known } = await verifiedUser(postern);
    const steps = async (email: string) => {
      const seen: unknown[] = [];
      const note = ({ status, text }: Reply) =>
        seen.push([status, text.replace(/"(request_id|challenge_id)":"[^"]*"/g, '"$1"')]);
      const asked = await ask(email);
      note(asked);
      for (let i = 0; i < 4; i++) note(await verify({ challenge_id: asked.body.challenge_id, code: 'none' }));
      for (let i = 0; i < 5; i++) note(await ask(email));
      return seen;
    };
    assert.deepEqual(await steps(known), await steps('nobody@pages.example'));
  });

  it('S37 ends what a stranger set up with an address that was never shown to be theirs', async () => {
    const email = fresh();
    const stranger = await register(postern, email);
    const { challenge_id } = (await ask(email)).body;
    const { code } = proofIn(await letterTo(postern, email, isLogIn));
    const done = await verify({ challenge_id, code });
    assert.deepEqual([done.body.user.uuid, done.body.user.email_verified], [stranger.user.uuid, true]);
    const login = await postern.call('POST', '/login', { json: { email, password } });
    assert.equal(login.status, 401);
    assert.equal((await postern.call('GET', '/auth/me', { token: stranger.token.access_token })).status, 401);
  });
});

describe('the pages', () => {
  let postern: Postern;
  let base: string;
  before(async () => {
    postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '600' } });
    base = `http://localhost:${postern.port}`;
  });
  after(() => postern.dispose());

  const post = (browser: Browser, path: string, form: Record<string, string>, more: object = {}) =>
    browser.open(`${base}${path}`, { form, ...more });
  async function signedIn() {
    const user = await verifiedUser(postern);
    const browser = openBrowser();
    const page = await post(browser, '/sign-in', { email: user.email, password });
    assert.equal(page.url, `${base}/account`, page.text);
    return { ...user, browser };
  }
  const account = (browser: Browser) => browser.open(`${base}/account`);

  it('let people in with their password, and say what is wrong on the form itself', async () => {
    const { email } = await verifiedUser(postern);
    const browser = openBrowser();
    assert.equal((await account(browser)).url, `${base}/sign-in`);
    const wrong = await post(browser, '/sign-in', { email, password: 'wrong' });
    assert.equal(wrong.status, 401);
    assert.match(wrong.text, /role="alert">Name or password is wrong/);
    assert.ok(wrong.text.includes(`value="${email}"`) && !wrong.text.includes('value="wrong"'));
    const page = await post(browser, '/sign-in', { email, password });
    assert.deepEqual([page.status, page.url], [200, `${base}/account`]);
    assert.ok(page.text.includes(`Signed in as ${email}`));
  });

  it('keep the session in a cookie that scripts and other sites do not get (S39)', async () => {
    const { email } = await verifiedUser(postern);
    const reply = await fetch(`${base}/sign-in`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ email, password }),
    });
    const cookie = reply.headers.getSetCookie().find((one) => one.startsWith('postern-session=')) ?? '';
    assert.match(cookie, /^postern-session=[0-9a-f-]{36}\.[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
    const value = /postern-session=([^;]+)/.exec(cookie)?.[1] ?? '';
    const open = (given: string) =>
      fetch(`${base}/account`, { redirect: 'manual', headers: { cookie: `postern-session=${given}` } });
    assert.equal((await open(value)).status, 200);
    for (const forged of [value.slice(0, -1), value.replace(/^./, (c) => (c === '0' ? '1' : '0')), '', 'x.y'])
      assert.equal((await open(forged)).status, 302, forged);
    // It is no bearer token, and a bearer token is no cookie.
    assert.equal((await postern.call('GET', '/auth/me', { token: value })).status, 401);
  });

  it('take no form that another site sends (S39)', async () => {
    const { browser } = await signedIn();
    for (const origin of ['https://evil.example', 'null', `${base}.evil.example`]) {
      for (const [path, form] of [
        ['/account/delete', { word: 'delete' }],
        ['/account/sign-out', {}],
        ['/sign-in', { email: 'x', password: 'x' }],
      ] as [string, Record<string, string>][])
        assert.equal((await post(browser, path, form, { origin })).status, 403, `${path} from ${origin}`);
    }
    assert.equal((await account(browser)).status, 200);
    const send = (headers: Record<string, string>) =>
      fetch(`${base}/sign-in`, { method: 'POST', headers, body: new URLSearchParams({ email: 'x', password: 'x' }) });
    for (const site of ['cross-site', 'same-site', 'none'])
      assert.equal((await send({ 'sec-fetch-site': site, origin: base })).status, 403, site);
    // As browsers send forms of a page that gives no referrer.
    assert.equal((await send({ 'sec-fetch-site': 'same-origin', origin: 'null' })).status, 401);
  });

  it('let people in by the code of a letter, and by its link, which opening alone does not use', async () => {
    const { email } = await verifiedUser(postern);
    const browser = openBrowser();
    const asked = await post(browser, '/sign-in/letter', { email });
    const id = /name="challenge_id" value="([^"]+)"/.exec(asked.text)?.[1] ?? '';
    const { code, link } = proofIn(await letterTo(postern, email, isLogIn));
    const wrong = await post(browser, '/sign-in/code', { challenge_id: id, code: 'none' });
    assert.match(wrong.text, /The code is wrong/);
    assert.equal(
      (await post(browser, '/sign-in/code', { challenge_id: id, code: ` ${code} ` })).url,
      `${base}/account`,
    );
    assert.equal((await openBrowser().open(link)).status, 200);

    const other = openBrowser();
    await post(other, '/sign-in/letter', { email });
    const letter = await letterTo(postern, email, (one) => isLogIn(one) && !one.text.includes(link));
    const second = proofIn(letter);
    for (let i = 0; i < 2; i++) assert.match((await other.open(second.link)).text, /<button type="submit">Sign in</);
    assert.equal((await post(other, '/sign-in/link', { token: second.token })).url, `${base}/account`);
    const again = await post(openBrowser(), '/sign-in/link', { token: second.token });
    assert.deepEqual([again.status, /was used or replaced/.test(again.text)], [410, true]);
    const unknown = await post(openBrowser(), '/sign-in/letter', { email: 'nobody@pages.example' });
    assert.equal(unknown.text.replace(/value="[^"]+"/, ''), asked.text.replace(/value="[^"]+"/, ''));
  });

  it('send a letter to whoever forgot the password', async () => {
    const { email } = await verifiedUser(postern);
    const page = await post(openBrowser(), '/forgot', { email });
    assert.match(page.text, /a letter is on its way/);
    const isReset = ({ text }: InboxMessage) => text.includes('/auth/password/reset?token=');
    assert.ok(await letterTo(postern, email, isReset));
    assert.equal((await post(openBrowser(), '/forgot', { email: 'no address' })).status, 400);
  });

  it('show the sessions and end them, one, this one, or all', async () => {
    const { email, browser, token } = await signedIn();
    const page = await account(browser);
    const ids = [...page.text.matchAll(/name="id" value="([^"]+)"/g)].map((match) => match[1] ?? '');
    assert.equal(ids.length, 1, 'the one of the registration');
    await post(browser, '/account/sessions/end', { id: ids[0] ?? '' });
    assert.equal((await postern.call('GET', '/auth/me', { token })).status, 401);
    const second = openBrowser();
    await post(second, '/sign-in', { email, password });
    assert.equal((await post(second, '/account/sign-out', {})).url, `${base}/sign-in`);
    assert.equal((await account(second)).url, `${base}/sign-in`);
    const third = openBrowser();
    await post(third, '/sign-in', { email, password });
    await post(third, '/account/sign-out-everywhere', {});
    assert.equal((await account(browser)).url, `${base}/sign-in`);
  });

  it('change the password and the address, and give out and delete everything', async () => {
    const { email, browser, uuid } = await signedIn();
    const wrong = await post(browser, '/account/password', { current_password: 'wrong', new_password: 'Another@123' });
    assert.equal(wrong.status, 401);
    const common = await post(browser, '/account/password', { current_password: password, new_password: 'password1' });
    assert.match(common.text, /too well known/);
    const changed = await post(browser, '/account/password', {
      current_password: password,
      new_password: 'Another@123',
    });
    assert.match(changed.text, /Your password is changed/);
    const next = fresh();
    assert.match(
      (await post(browser, '/account/email', { email: next, password: 'Another@123' })).text,
      /on their way/,
    );
    assert.ok(await letterTo(postern, next));
    const exported = await browser.open(`${base}/account/export`);
    assert.equal(JSON.parse(exported.text).user.uuid, uuid);
    const missed = await post(browser, '/account/delete', { word: 'no' });
    assert.deepEqual([missed.status, /Nothing was deleted/.test(missed.text)], [400, true]);
    assert.match((await post(browser, '/account/delete', { word: 'Delete' })).text, /Your account is deleted/);
    assert.equal((await account(browser)).url, `${base}/sign-in`);
    const login = await postern.call('POST', '/login', { json: { email, password: 'Another@123' } });
    assert.equal(login.status, 401);
  });

  it('speak German to who asks for it, and English to everybody else', async () => {
    const open = (language: string) => openBrowser().open(`${base}/sign-in`, { language });
    assert.match((await open('de-AT,en;q=0.5')).text, /<html lang="de">[\s\S]*Passwort vergessen\?/);
    assert.match((await open('fr')).text, /<html lang="en">[\s\S]*Forgot your password\?/);
  });

  it('escape what people are called', async () => {
    const browser = openBrowser();
    const page = await post(browser, '/sign-in', { email: '"><script>alert(1)</script>', password });
    assert.ok(!page.text.includes('<script>'));
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  });
});

describe('the pages behind HTTPS', () => {
  it('S39 keep the session in a cookie that no other host of the domain can set or read', async () => {
    const postern = await startPostern({ env: { PUBLIC_URL: 'https://auth.example' } });
    try {
      const email = 'ada@https.example';
      assert.equal((await postern.call('POST', '/register', { json: { email, password } })).status, 201);
      const form = { email, password };
      const headers = { origin: 'https://auth.example' };
      const signedIn = await postern.call('POST', '/sign-in', { form, headers });
      assert.deepEqual([signedIn.status, signedIn.headers.get('location')], [303, '/account']);
      const cookie = signedIn.headers.getSetCookie().find((one) => one.includes('session=')) ?? '';
      assert.match(cookie, /^__Host-postern-session=[\w.-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/);
      const [pair = ''] = cookie.split(';');
      assert.equal((await postern.call('GET', '/account', { headers: { cookie: pair } })).status, 200);
      const bare = pair.replace('__Host-', '');
      assert.equal((await postern.call('GET', '/account', { headers: { cookie: bare } })).status, 302);
    } finally {
      await postern.dispose();
    }
  });
});
