/** Signing in with Google and other providers of OpenID Connect (quality S35–S38). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { totpCode } from '../support/authenticator.ts';
import { openBrowser, type Page } from '../support/browser.ts';
import { freePorts } from '../support/free-ports.ts';
import { type InboxMessage, letterTo } from '../support/mailbox.ts';
import {
  clientId,
  clientSecret,
  type Lie,
  type LyingProvider,
  type OpenIdProvider,
  startLyingProvider,
  startOpenIdProvider,
} from '../support/openid-provider.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
const json = 'application/json';

describe('signing in with a provider', () => {
  let google: OpenIdProvider;
  let liar: LyingProvider;
  let postern: Postern;
  let count = 0;
  before(async () => {
    const [port = 0] = await freePorts(1);
    google = await startOpenIdProvider(`http://localhost:${port}/auth/callback`);
    liar = await startLyingProvider();
    const trusting = { id: 'corp', issuer: liar.issuer, client_id: clientId, client_secret: clientSecret };
    postern = await startPostern({
      env: {
        PORT: String(port),
        GOOGLE_CLIENT_ID: clientId,
        GOOGLE_CLIENT_SECRET: clientSecret,
        GOOGLE_ISSUER: google.issuer,
        OIDC_PROVIDERS: JSON.stringify([
          { ...trusting, id: 'liar' },
          { ...trusting, trust_email: true },
        ]),
        REDIRECT_URLS: 'https://app.example/signed-in, http://other.example',
      },
    });
  });
  after(async () => {
    await postern.dispose();
    await google.close();
    await liar.close();
  });

  const base = () => `http://localhost:${postern.port}`;
  const bodyOf = (page: Page) => JSON.parse(page.text);
  const signIn = (browser = openBrowser(), path = '/auth/google') => browser.open(`${base()}${path}`, { accept: json });
  function somebody(more: object = {}) {
    const sub = `sub-${++count}`;
    google.person = { sub, email: `${sub}@google.example`, email_verified: true, name: `Name ${count}`, ...more };
    return google.person;
  }
  const me = async (token: string) => (await postern.call('GET', '/auth/me', { token })).body;
  const login = (email: string) => postern.call('POST', '/login', { json: { email, password } });

  it('is the first factor where the account has a second: no session before that one was shown', async () => {
    somebody();
    const { token } = bodyOf(await signIn());
    const begun = await postern.call('POST', '/auth/second-factors/totp', { token: token.access_token, json: {} });
    const { id, secret } = begun.body;
    const confirmed = await postern.call('POST', `/auth/second-factors/totp/${id}/confirm`, {
      token: token.access_token,
      json: { code: totpCode(secret) },
    });
    assert.equal(confirmed.status, 200);
    const [first, second, third] = confirmed.body.recovery_codes;
    const show = (sign_in_token: string, code: string) =>
      postern.call('POST', '/auth/second-factor', { json: { sign_in_token, code } });

    const refused = await signIn();
    assert.deepEqual([refused.status, bodyOf(refused).code], [403, 'auth.second_factor_required']);
    const shown = await show(bodyOf(refused).sign_in_token, first);
    const claims = JSON.parse(Buffer.from(shown.body.token.access_token.split('.')[1], 'base64url').toString());
    assert.deepEqual([claims.amr, claims.acr], [['fed', 'otp', 'mfa'], 'aal2']);

    const app = 'https://app.example/signed-in';
    const back = await openBrowser().open(`${base()}/auth/google?redirect_to=${app}`, { until: app });
    const code = new URL(back.url).searchParams.get('code');
    const exchange = await postern.call('POST', '/auth/exchange', { json: { code } });
    assert.deepEqual([exchange.status, exchange.body.code], [403, 'auth.second_factor_required']);
    assert.equal((await postern.call('POST', '/auth/exchange', { json: { code } })).status, 400, 'it is used up');
    assert.equal((await show(exchange.body.sign_in_token, second)).status, 200);

    const browser = openBrowser();
    const page = await browser.open(`${base()}/auth/google?redirect_to=/account`);
    assert.match(page.url, /\/sign-in\/second-factor$/);
    const done = await browser.open(`${base()}/sign-in/second-factor`, { form: { code: third } });
    assert.match(done.url, /\/account$/);
  });

  it('makes a user, verified and named, and finds the same one again, also when the address has changed there', async () => {
    const person = somebody({ picture: 'https://pictures.example/1.png' });
    const page = await signIn();
    assert.equal(page.status, 200, page.text);
    const { user, token } = bodyOf(page);
    assert.deepEqual(
      [user.email, user.email_verified, user.name, user.profile_image_url],
      [person.email, true, person.name, person.picture],
    );
    assert.equal((await me(token.access_token)).uuid, user.uuid);
    google.person = { ...person, email: 'another@google.example', email_verified: false };
    const again = bodyOf(await signIn());
    assert.deepEqual([again.user.uuid, again.user.email], [user.uuid, person.email]);
    const { data } = (await postern.call('GET', '/auth/identities', { token: token.access_token })).body;
    assert.deepEqual(
      data.map(({ issuer, subject, email }: Record<string, unknown>) => [issuer, subject, email]),
      [[google.issuer, person.sub, 'another@google.example']],
    );
  });

  it('made by many browsers at once is one user', async () => {
    somebody();
    const pages = await Promise.all(Array.from({ length: 6 }, () => signIn()));
    assert.deepEqual(
      pages.map(({ status }) => status),
      [200, 200, 200, 200, 200, 200],
    );
    assert.equal(new Set(pages.map((page) => bodyOf(page).user.uuid)).size, 1);
  });

  it('of two tenants are two users', async () => {
    somebody();
    const [one, other] = [await signIn(), await signIn(openBrowser(), '/auth/google?server=elsewhere')];
    assert.deepEqual([bodyOf(one).user.server, bodyOf(other).user.server], ['default', 'elsewhere']);
    assert.notEqual(bodyOf(one).user.uuid, bodyOf(other).user.uuid);
  });

  it('goes back to the application with a code that gives tokens once', async () => {
    somebody();
    const to = 'https://app.example/signed-in';
    const path = `/auth/google?redirect_to=${encodeURIComponent(to)}`;
    const page = await openBrowser().open(`${base()}${path}`, { until: to });
    const code = new URL(page.url).searchParams.get('code');
    assert.ok(page.url.startsWith(`${to}?code=`) && !page.url.includes('eyJ'));
    const exchange = () => postern.call('POST', '/auth/exchange', { json: { code } });
    const replies = await Promise.all(Array.from({ length: 5 }, exchange));
    assert.equal(replies.filter(({ status }) => status === 200).length, 1);
    const token = replies.find(({ status }) => status === 200)?.body.token.access_token;
    assert.equal((await me(token)).email, google.person?.email);
    assert.equal((await exchange()).body.code, 'identities.code_invalid');
    for (const allowed of ['http://other.example/any/path?x=1']) {
      const there = `${base()}/auth/google?redirect_to=${encodeURIComponent(allowed)}`;
      const arrived = await openBrowser().open(there, { until: 'http://other.example/' });
      assert.match(arrived.url, /^http:\/\/other\.example\/any\/path\?x=1&code=/);
    }
  });

  it('goes back nowhere else', async () => {
    for (const to of [
      'https://app.example/signed-in/more',
      'https://app.example/signed-in?x=1',
      'https://app.example',
      'https://other.example/',
      'http://other.example.evil.example/',
      'http://x@other.example/',
      'http://other.example:81/',
      '//other.example/',
      'javascript:alert(1)',
      'nonsense',
    ]) {
      const reply = await postern.call('GET', `/auth/google?redirect_to=${encodeURIComponent(to)}`);
      assert.deepEqual([reply.status, reply.body.code], [400, 'identities.redirect_not_allowed'], to);
    }
  });

  it('that the provider refuses says so, as JSON, as a page, or to the application', async () => {
    google.person = undefined;
    const reply = await signIn();
    assert.deepEqual([reply.status, bodyOf(reply).code], [403, 'identities.sign_in_refused']);
    const page = await openBrowser().open(`${base()}/auth/google`);
    assert.match(page.text, /role="alert">The other side did not let you in/);
    const to = 'https://app.example/signed-in';
    const back = await openBrowser().open(`${base()}/auth/google?redirect_to=${to}`, { until: to });
    assert.equal(back.url, `${to}?error=identities.sign_in_refused`);
  });

  it('S36 joins the owner of the address only where the provider vouches for it', async () => {
    const email = `owner${++count}@google.example`;
    await postern.call('POST', '/register', { json: { email, password } });
    for (const email_verified of [false, undefined, 'true', 1, null]) {
      somebody({ email, email_verified });
      const page = await signIn();
      assert.deepEqual([page.status, bodyOf(page).code], [403, 'identities.email_unverified'], String(email_verified));
    }
    somebody({ email: undefined });
    assert.equal(bodyOf(await signIn()).code, 'identities.email_unverified');
  });

  it('joins an owner who has shown that the address is theirs, who keeps password and sessions', async () => {
    const email = `shown${++count}@google.example`;
    await postern.cli('users', 'create', '--email', email, '--password', password, '--verified');
    const before = (await login(email)).body;
    somebody({ email: email.toUpperCase() });
    assert.equal(bodyOf(await signIn()).user.uuid, before.user.uuid);
    assert.equal((await me(before.token.access_token)).uuid, before.user.uuid);
    assert.equal((await login(email)).status, 200);
  });

  it('tells the owner of the account that was joined, once, and nobody who is new', async () => {
    const linked = async (email: string) => {
      const { data } = (await postern.call('GET', `/inbox/messages?to=${email}`)).body;
      return data.filter(({ text }: InboxMessage) => text.includes('Google'));
    };
    const joined = `told${++count}@google.example`;
    await postern.cli('users', 'create', '--email', joined, '--password', password, '--verified');
    somebody({ email: joined });
    const browser = openBrowser();
    await browser.open(`${base()}/auth/google`, { accept: json, language: 'de-AT' });
    const { subject, text } = await letterTo(postern, joined);
    assert.equal(subject, 'Ihr Konto bei localhost lässt sich jetzt mit Google öffnen');
    assert.match(text, /kann man sich jetzt auch mit Google anmelden/);

    const { email: fresh = '' } = somebody();
    assert.equal((await signIn()).status, 200);
    const english = `told${++count}@google.example`;
    await postern.call('POST', '/register', { json: { email: english, password } });
    somebody({ email: english });
    // Twice: the second time the account is known.
    for (let i = 0; i < 2; i++) assert.equal((await signIn()).status, 200);
    const letter = await letterTo(postern, english, (one) => one.text.includes('Google'));
    assert.match(letter.text, /can now also be signed in to with Google/);
    assert.deepEqual(
      [(await linked(english)).length, (await linked(joined)).length, (await linked(fresh)).length],
      [1, 1, 0],
    );
  });

  it('S37 of the owner ends what a stranger had set up with the address', async () => {
    const email = `victim${++count}@google.example`;
    const stranger = (await postern.call('POST', '/register', { json: { email, password } })).body;
    const token = stranger.token.access_token;
    const change = { email: 'stranger@evil.example', password };
    assert.equal((await postern.call('POST', '/auth/email/change', { token, json: change })).status, 202);
    somebody({ email });
    const { user } = bodyOf(await signIn());
    assert.deepEqual([user.uuid, user.email_verified], [stranger.user.uuid, true]);
    assert.equal((await login(email)).status, 401);
    assert.equal((await postern.call('GET', '/auth/me', { token })).status, 401);
    const refreshed = await postern.call('POST', '/auth/refresh', {
      json: { refresh_token: stranger.token.refresh_token },
    });
    assert.equal(refreshed.status, 401);
    const { data } = (await postern.call('GET', '/inbox/messages?to=stranger@evil.example')).body;
    const link = /confirm\?token=([\w-]+)/.exec(data[0].text)?.[1];
    assert.equal((await postern.call('POST', '/auth/email/confirm', { json: { token: link } })).status, 410);
  });

  it('S38 comes back to the browser that began it, and once', async () => {
    // A provider that takes a code any number of times.
    const [mine, theirs] = [openBrowser(), openBrowser()];
    const callback = `${base()}/auth/callback`;
    const { url } = await mine.open(`${base()}/auth/liar`, { until: callback });
    const stolen = await theirs.open(url, { accept: json });
    assert.deepEqual([stolen.status, bodyOf(stolen).code], [400, 'identities.sign_in_invalid']);
    const cookies = new Map([...mine.cookies].map(([host, jar]) => [host, new Map(jar)]));
    assert.equal((await mine.open(url, { accept: json })).status, 200);
    assert.equal((await mine.open(url, { accept: json })).status, 400);
    for (const [host, jar] of cookies) theirs.cookies.set(host, jar);
    const again = await theirs.open(url, { accept: json });
    assert.deepEqual([again.status, bodyOf(again).code], [400, 'identities.sign_in_invalid']);
    for (const query of ['', '?code=x', '?state=x&code=x', '?error=access_denied'])
      assert.equal((await theirs.open(`${callback}${query}`, { accept: json })).status, 400, query);
  });

  it('in two tabs at once ends in both', async () => {
    somebody();
    const browser = openBrowser();
    const callback = `${base()}/auth/callback`;
    const tabs = [];
    for (let i = 0; i < 2; i++) tabs.push(await browser.open(`${base()}/auth/google`, { until: callback }));
    for (const { url } of tabs) assert.equal((await browser.open(url, { accept: json })).status, 200);
  });

  it('is taken off an account, but not where it is the only way in', async () => {
    somebody();
    const { token } = bodyOf(await signIn());
    const list = () => postern.call('GET', '/auth/identities', { token: token.access_token });
    const [{ id }] = (await list()).body.data;
    const remove = (which: string) =>
      postern.call('DELETE', `/auth/identities/${which}`, { token: token.access_token });
    assert.equal((await remove('01890000-0000-7000-8000-000000000000')).status, 404);
    assert.equal((await remove(id)).status, 204);
    assert.deepEqual((await list()).body.data, []);
  });

  it('is refused to who is disabled', async () => {
    somebody();
    const { user } = bodyOf(await signIn());
    const admin = `admin${++count}@google.example`;
    await postern.cli('users', 'create', '--email', admin, '--password', password, '--admin');
    const { token } = (await login(admin)).body;
    await postern.call('POST', `/users/${user.uuid}/disable`, { token: token.access_token });
    const page = await signIn();
    assert.deepEqual([page.status, bodyOf(page).code], [401, 'auth.invalid_credentials']);
  });

  it('S35 gives no session for anything but what the provider really said', async () => {
    const liarIn = () => signIn(openBrowser(), '/auth/liar');
    assert.equal((await liarIn()).status, 200, 'the truth');
    const secret = new TextEncoder().encode(clientSecret.padEnd(32, '0'));
    const now = Math.floor(Date.now() / 1_000);
    const lies: Record<string, LyingProvider['lie']> = {};
    const add = (name: string, lie: LyingProvider['lie']) => {
      lies[name] = lie;
    };
    add('another issuer', (honest) => ({ claims: { ...honest, iss: 'https://accounts.google.com' } }));
    add('another audience', (honest) => ({ claims: { ...honest, aud: 'somebody-else' } }));
    add('another authorized party', (honest) => ({ claims: { ...honest, aud: [clientId, 'x'], azp: 'x' } }));
    add('another nonce', (honest) => ({ claims: { ...honest, nonce: 'x' } }));
    add('no nonce', ({ nonce: _, ...honest }) => ({ claims: honest }));
    add('long ago', (honest) => ({ claims: { ...honest, iat: now - 7_200, exp: now - 3_600 } }));
    add('no end', ({ exp: _, ...honest }) => ({ claims: honest }));
    add('no subject', ({ sub: _, ...honest }) => ({ claims: honest }));
    add('another key', () => ({ key: 'other' }));
    add('no signature', (honest): Lie => {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
      return { token: `${part({ alg: 'none' })}.${part(honest)}.` };
    });
    add('the client secret as the key', async (honest) => ({
      token: await new SignJWT(honest).setProtectedHeader({ alg: 'HS256' }).sign(secret),
    }));
    add('nonsense', () => ({ token: 'nonsense' }));
    for (const [name, lie] of Object.entries(lies)) {
      liar.lie = lie;
      const page = await liarIn();
      assert.deepEqual([page.status, bodyOf(page).code], [401, 'identities.answer_invalid'], name);
      assert.equal(bodyOf(page).token, undefined, name);
    }
    liar.lie = () => ({ status: 500 });
    assert.deepEqual([(await liarIn()).status], [503]);
    liar.lie = () => ({ status: 400 });
    assert.deepEqual([(await liarIn()).status], [400]);
    liar.lie = () => ({});
    assert.equal((await liarIn()).status, 200);
  });

  it('takes addresses as verified from a provider that is trusted with that', async () => {
    liar.lie = (honest) => {
      const { email_verified: _, ...claims } = honest;
      return { claims: { ...claims, sub: 'trusted', email: 'trusted@corp.example' } };
    };
    assert.equal(bodyOf(await signIn(openBrowser(), '/auth/liar')).code, 'identities.email_unverified');
    assert.equal(bodyOf(await signIn(openBrowser(), '/auth/corp')).user.email_verified, true);
    liar.lie = () => ({});
  });

  it('says that the provider is away', async () => {
    const lonely = await startPostern({
      env: { GOOGLE_CLIENT_ID: 'x', GOOGLE_CLIENT_SECRET: 'y', GOOGLE_ISSUER: 'http://127.0.0.1:9' },
    });
    try {
      const reply = await lonely.call('GET', '/auth/google');
      assert.deepEqual([reply.status, reply.body.code], [503, 'identities.provider_unavailable']);
      assert.ok(reply.headers.get('retry-after'));
    } finally {
      await lonely.dispose();
    }
  });

  it('is not there where nobody set it up', async () => {
    const plain = await startPostern();
    try {
      const reply = await plain.call('GET', '/auth/google');
      assert.deepEqual([reply.status, reply.body.code], [404, 'identities.unknown_provider']);
    } finally {
      await plain.dispose();
    }
  });
});
