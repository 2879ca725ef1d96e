/** Signing up on the pages, under each REGISTRATION, and coming in through a provider (quality S3, S14, S36, S38, S39). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser, type Page } from '../support/browser.ts';
import { freePorts } from '../support/free-ports.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { clientId, clientSecret, type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
let count = 0;
const fresh = () => `user${++count}@sign-up.example`;
const baseOf = ({ port }: Postern) => `http://localhost:${port}`;
const alertOf = ({ text }: Page) => /role="alert">([^<]*)/.exec(text)?.[1];

function signUp(postern: Postern, email: string, browser = openBrowser(), more: object = {}): Promise<Page> {
  return browser.open(`${baseOf(postern)}/sign-up`, { form: { email, password, ...more } });
}

describe('signing up where registration is open', () => {
  let google: OpenIdProvider;
  let postern: Postern;
  let base: string;
  before(async () => {
    const [port = 0] = await freePorts(1);
    google = await startOpenIdProvider(`http://localhost:${port}/auth/callback`);
    const client = { client_id: clientId, client_secret: clientSecret };
    postern = await startPostern({
      env: {
        PORT: String(port),
        VERIFY_CODE_SECONDS: '600',
        OIDC_PROVIDERS: JSON.stringify([
          { ...client, id: 'corp', name: 'Our <Corp>', issuer: google.issuer },
          { ...client, id: 'away', issuer: 'http://127.0.0.1:9' },
        ]),
      },
    });
    base = baseOf(postern);
  });
  after(async () => {
    await postern.dispose();
    await google.close();
  });
  const post = (browser: Browser, path: string, form: Record<string, string> = {}, more: object = {}) =>
    browser.open(`${base}${path}`, { form, ...more });
  const signedUp = async () => {
    const [email, browser] = [fresh(), openBrowser()];
    assert.equal((await signUp(postern, email, browser)).url, `${base}/verify`);
    return { email, browser };
  };

  it('says what is wrong with the address, the password, or that there is an account already', async () => {
    const { email } = await signedUp();
    for (const [form, status, said] of [
      [{ email }, 409, /has an account already/],
      [{ email: 'nonsense' }, 400, /no e-mail address/],
      [{ password: 'short' }, 400, /8 characters at least/],
      [{ password: 'password1' }, 400, /too well known/],
      [{ server: 'no slug' }, 400, /not as it has to be/],
      [{ password: 'x'.repeat(1025) }, 400, /8 characters at least/],
    ] as const) {
      const page = await signUp(postern, fresh(), openBrowser(), form);
      assert.deepEqual(
        [page.status, said.test(alertOf(page) ?? '')],
        [status, true],
        JSON.stringify(form).slice(0, 80),
      );
      assert.ok(!page.text.includes('value="short"') && page.text.includes('<h1>'));
    }
  });

  it('signs up for the tenant of the page, and links from page to page stay with it', async () => {
    const email = fresh();
    await signUp(postern, email, openBrowser(), { server: 'elsewhere' });
    const login = await postern.call('POST', '/login', { json: { email, password, server: 'elsewhere' } });
    assert.equal(login.status, 200);
    const page = await openBrowser().open(`${base}/sign-in?server=elsewhere`);
    for (const to of ['/sign-up', '/forgot', '/sign-in/letter'])
      assert.ok(page.text.includes(`"${to}?server=elsewhere"`));
    assert.ok(page.text.includes('/auth/corp?redirect_to=%2Faccount&amp;server=elsewhere'));
  });

  it('S14 takes the code of one’s own letter, while signed in, and no other', async () => {
    const [one, other] = [await signedUp(), await signedUp()];
    const theirs = proofIn(await letterTo(postern, other.email));
    const own = proofIn(await letterTo(postern, one.email));
    const wrong = await post(one.browser, '/verify', { code: theirs.code === own.code ? 'none' : theirs.code });
    assert.deepEqual([wrong.status, alertOf(wrong)], [400, 'The code is wrong.']);
    assert.equal((await post(openBrowser(), '/verify', { code: own.code })).url, `${base}/sign-in`);
    assert.equal((await post(one.browser, '/verify', { code: own.code })).url, `${base}/account`);
    const user = await postern.call('GET', `/users?email=${one.email}`, { basic: `${one.email}:${password}` });
    assert.equal(user.body.email_verified, true);
    // There is nothing left to do there.
    assert.equal((await one.browser.open(`${base}/verify`)).url, `${base}/account`);
    assert.equal((await post(one.browser, '/verify/resend')).url, `${base}/account`);
  });

  it('S39 takes no form that another site sends', async () => {
    const { browser } = await signedUp();
    for (const path of ['/sign-up', '/verify', '/verify/resend', '/account/identities/unlink']) {
      const form = { '/sign-up': { email: fresh(), password }, '/verify': { code: '0000' } }[path] ?? {};
      const page = await post(browser, path, form, { origin: 'https://evil.example' });
      assert.deepEqual([page.status, /by another site/.test(page.text)], [403, true], path);
    }
  });

  const withCorp = (browser = openBrowser()) => browser.open(`${base}/auth/corp?redirect_to=/account`);

  it('comes in through a provider with the cookie alone, and leaves it again only where another way in is left', async () => {
    const email = fresh();
    google.person = { sub: `sub-${count}`, email, email_verified: true };
    assert.ok((await openBrowser().open(`${base}/sign-up`)).text.includes('Sign in with Our &lt;Corp&gt;'));
    const browser = openBrowser();
    const page = await withCorp(browser);
    assert.equal(page.url, `${base}/account`);
    assert.ok(page.text.includes(`Signed in as ${email}`) && page.text.includes('Our &lt;Corp&gt;'));
    const [, id = ''] = /unlink"><input type="hidden" name="id" value="([^"]+)"/.exec(page.text) ?? [];
    const stranger = await signedUp();
    const theirs = await post(stranger.browser, '/account/identities/unlink', { id });
    assert.deepEqual([theirs.status, alertOf(theirs)], [404, 'This account was removed already.']);
    // By a letter its owner still gets in.
    const left = await post(browser, '/account/identities/unlink', { id });
    assert.ok(left.text.includes('The account is removed') && !left.text.includes('Our &lt;Corp&gt;'));
  });

  it('S36 S38 comes back to the page with what is wrong, in words of our own', async () => {
    google.person = { sub: `sub-${++count}`, email: fresh(), email_verified: false };
    const refused = await withCorp();
    assert.equal(refused.url, `${base}/sign-in?server=default&error=identities.email_unverified`);
    assert.match(alertOf(refused) ?? '', /does not say that your e-mail address is confirmed/);
    assert.equal(refused.headers.getSetCookie().length, 0);
    const away = await openBrowser().open(`${base}/auth/away?redirect_to=/account&server=elsewhere`);
    assert.equal(away.url, `${base}/sign-in?server=elsewhere&error=identities.provider_unavailable`);
    const other = await withCorp().then(() => openBrowser().open(`${base}/auth/callback?state=x&code=x`));
    assert.deepEqual([other.status, /begun elsewhere/.test(alertOf(other) ?? '')], [400, true]);
    for (const error of ['<script>alert(1)</script>', '__proto__', 'constructor']) {
      const page = await openBrowser().open(`${base}/sign-in?error=${encodeURIComponent(error)}`);
      assert.equal(alertOf(page), 'That did not work. Try again in a moment.', error);
    }
    for (const to of ['/', '/account/', '/account?x', '//account', `${base}/account`]) {
      const reply = await postern.call('GET', `/auth/corp?redirect_to=${encodeURIComponent(to)}`);
      assert.deepEqual([reply.status, reply.body.code], [400, 'identities.redirect_not_allowed'], to);
    }
  });
});

describe('signing up where registration is private', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern({ env: { REGISTRATION: 'private' } });
  });
  after(() => postern.dispose());

  it('S3 says the same of a known and an unknown address, and the owner gets a letter', async () => {
    const email = fresh();
    const browser = openBrowser();
    const first = await signUp(postern, email, browser);
    const { link } = proofIn(await letterTo(postern, email));
    const again = await signUp(postern, email);
    assert.deepEqual([first.status, again.text], [200, first.text]);
    assert.match(first.text, /A letter is on its way/);
    assert.ok(await letterTo(postern, email, ({ text }) => text.includes('already')));
    assert.deepEqual(
      [...browser.cookies.values()].flatMap((jar) => [...jar]),
      [],
    );
    const signIn = () => browser.open(`${baseOf(postern)}/sign-in`, { form: { email, password } });
    assert.equal((await signIn()).status, 401);
    const { token } = proofIn(await letterTo(postern, email, ({ text }) => text.includes(link)));
    const done = await browser.open(`${baseOf(postern)}/auth/verify`, { form: { token } });
    assert.match(done.text, /Your address is confirmed/);
    assert.equal((await signIn()).url, `${baseOf(postern)}/account`);
  });
});

describe('signing up where registration is closed', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern({ env: { REGISTRATION: 'closed' } });
  });
  after(() => postern.dispose());

  it('is not offered, and its page says so', async () => {
    const page = await openBrowser().open(`${baseOf(postern)}/sign-in`);
    assert.ok(!page.text.includes('/sign-up'));
    const closed = await openBrowser().open(`${baseOf(postern)}/sign-up`);
    assert.deepEqual([closed.status, /Nobody registers here/.test(closed.text)], [403, true]);
    assert.ok(!closed.text.includes('<form'));
    const email = fresh();
    assert.equal((await signUp(postern, email)).status, 403);
    const { body } = await postern.call('GET', `/inbox/messages?to=${email}`);
    assert.deepEqual(body.data, []);
  });
});

describe('links from letters', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());

  it('open pages for people and answer programs as ever', async () => {
    const german = { headers: { accept: 'text/html', 'accept-language': 'de' } };
    for (const [path, title] of [
      ['/auth/verify', 'Adresse bestätigen'],
      ['/auth/otp/verify', 'Anmelden'],
      ['/auth/password/reset', 'Neues Passwort setzen'],
      ['/auth/email/confirm', 'Änderung Ihrer E-Mail-Adresse'],
    ]) {
      const page = await postern.call('GET', `${path}?token=x`, german);
      assert.match(page.text, new RegExp(`<html lang="de">[\\s\\S]*<h1>${title}</h1>`), path);
      const half = await postern.call('GET', path ?? '', german);
      assert.deepEqual([half.status, half.headers.get('content-type')], [400, 'text/html'], path);
      assert.equal((await postern.call('GET', path ?? '')).body.code, 'http.invalid_request', path);
    }
    const form = { token: 'x', password };
    for (const [path, fields] of [
      ['/auth/verify', { token: 'x' }],
      ['/auth/email/confirm', { token: 'x' }],
      ['/auth/password/reset', form],
    ] as const) {
      const page = await postern.call('POST', path, { form: fields, ...german });
      assert.deepEqual([page.status, /role="alert">Der Link ist unvollständig/.test(page.text)], [400, true], path);
      const problem = await postern.call('POST', path, { form: fields, headers: { accept: 'application/json' } });
      assert.deepEqual([problem.status, problem.body.code], [400, 'challenges.link_invalid'], path);
      assert.equal((await postern.call('POST', path, { json: fields })).body.code, 'challenges.link_invalid', path);
    }
    const short = await postern.call('POST', '/auth/password/reset', { form: { ...form, password: 'x' }, ...german });
    assert.match(short.text, /role="alert">Ein Passwort hat mindestens 8 Zeichen[\s\S]*name="token" value="x"/);
  });
});
