/** Attacks on the pages of the OAuth server, on whoever is sent through them, and on its addresses (quality S32, S34, S41). */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser } from '../support/browser.ts';
import { newKeyHolder } from '../support/proof.ts';
import {
  defined,
  fieldsOf,
  named,
  type Parameters,
  type RawClient,
  type RawUser,
  startTarget,
  type Target,
} from '../support/raw-client.ts';
import { password, redirectUri } from '../support/relying-party.ts';
import type { Reply } from '../support/start-postern.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const afterLogout = 'https://client.example/bye';
const evil = `"><svg onload=alert(1)>'{{7*7}}`;

describe('attacks on pages', () => {
  let target: Target;
  let client: RawClient;
  let elsewhere: RawClient;
  let ann: RawUser;
  let browser: Browser;
  before(async () => {
    target = await startTarget();
    client = await makeAny();
    ann = await target.makeUser();
    browser = await target.browserOf(ann);
    await target.makeUser({ server: 'elsewhere' });
    const made = await target.postern.cli(
      ...['clients', 'create', '--json', '--tenant', 'elsewhere', '--scope', 'openid basic', '--skip-consent'],
      ...['--grant', 'authorization_code', '--grant', 'device_code', '--redirect-uri', redirectUri],
    );
    assert.equal(made.code, 0, made.stderr);
    elsewhere = JSON.parse(made.stdout);
  });
  after(() => target.close());

  const makeAny = (metadata: object = {}) =>
    target.makeClient({
      grant_types: ['authorization_code', 'refresh_token', deviceCode],
      post_logout_redirect_uris: [afterLogout],
      ...metadata,
    });
  const at = (path: string) => `${target.issuer}${path}`;
  const post = (path: string, form: Record<string, string>) => target.postern.call('POST', path, { form });
  const isSignedIn = async (who: Browser) => (await who.open(at('/account'))).url.endsWith('/account');
  /** What users have let a client do, and what came of it. */
  async function granted({ client_id }: RawClient, { uuid }: RawUser): Promise<number> {
    const [row] = await target.db<{ count: number }[]>`
      SELECT (SELECT count(*) FROM oauth_consents o WHERE o.client_id = c.id AND o.user_id = ${uuid})::int
        + (SELECT count(*) FROM oauth_grants g WHERE g.client_id = c.id AND g.user_id = ${uuid})::int AS count
      FROM clients c WHERE c.client_id = ${client_id}`;
    return row?.count ?? -1;
  }
  async function askConsent(who: Browser, of: RawClient, parameters: Parameters = {}) {
    const page = await who.open(target.authorizeUrl(of, parameters).url);
    assert.match(page.text, /name="decision"/, `${page.status} ${page.url} ${page.text}`);
    return { ...page, token: fieldsOf(page.text).token ?? '', uid: page.url.split('/').at(-1) ?? '' };
  }

  it('S34 consent is given by the form of its own page alone', async () => {
    const asking = await makeAny();
    const first = await askConsent(browser, asking);
    const other = openBrowser();
    const theirs = await askConsent(await target.browserOf(await target.makeUser(), undefined, other), asking);
    const again = await target.browserOf(ann);
    const sameUser = await askConsent(again, asking);
    // The browser is on its way in this one now.
    const { url, token, uid } = await askConsent(browser, asking);
    assert.equal(new Set([first.token, theirs.token, sameUser.token, token]).size, 4);
    const tries: [string, Reply][] = [];
    for (const form of [
      { decision: 'allow' },
      { decision: 'allow', token: '' },
      { decision: 'allow', token: first.token },
      { decision: 'allow', token: theirs.token },
      { decision: 'allow', token: sameUser.token },
      { decision: 'allow', token: `${token}x` },
      { decision: 'allow', token: token.slice(1) },
      { decision: 'ALLOW', token: 'x' },
    ] as Record<string, string>[]) {
      if (form.decision === 'allow') tries.push([JSON.stringify(form), await target.submit(browser, url, form)]);
    }
    const good = { decision: 'allow', token };
    for (const origin of ['https://evil.example', 'null', `${target.issuer}.evil.example`, 'http://localhost:1', '']) {
      const reply = await target.submit(browser, url, good, origin);
      assert.equal(reply.status, 403, `${origin}: ${reply.status}`);
    }
    for (const site of ['cross-site', 'same-site', 'none']) {
      const headers = { 'sec-fetch-site': site, 'content-type': 'application/x-www-form-urlencoded' };
      const reply = await target.knock(browser, url, { method: 'POST', body: `${new URLSearchParams(good)}`, headers });
      assert.equal(reply.status, 403, site);
    }
    tries.push(['GET', await target.knock(browser, `${url}?${new URLSearchParams(good)}`)]);
    tries.push(['resume', await target.knock(browser, `/oauth/authorize/${uid}`)]);
    tries.push(['resume with it', await target.knock(browser, `/oauth/authorize/${uid}?${new URLSearchParams(good)}`)]);
    tries.push(['first', await target.submit(browser, first.url, { decision: 'allow', token: first.token })]);
    for (const stranger of [openBrowser(), other, again]) {
      tries.push(['another browser', await target.submit(stranger, url, good)]);
      tries.push(['another browser', await target.knock(stranger, url)]);
      tries.push(['another browser', await target.knock(stranger, `/oauth/authorize/${uid}`)]);
    }
    for (const [about, { headers, text }] of tries) {
      const to = `${headers.get('location')} ${headers.get('refresh')}`;
      assert.doesNotMatch(`${to} ${text}`, /code=|url=\/oauth\/authorize\//, `${about}: ${to}`);
    }
    assert.equal(await granted(asking, ann), 0);
  });

  it('S34 what one user was shown gives nothing in the name of who has signed in after them', async () => {
    const asking = await makeAny();
    const shared = await target.browserOf(ann);
    const { url, token } = await askConsent(shared, asking);
    const bob = await target.makeUser();
    // As another tab does it: the way that was begun is not gone on with.
    shared.cookies.get(new URL(target.issuer).host)?.delete('postern-continue');
    await target.browserOf(bob, undefined, shared);
    const reply = await target.submit(shared, url, { decision: 'allow', token });
    assert.deepEqual([reply.status, reply.headers.get('location')], [303, new URL(url).pathname]);
    assert.deepEqual([await granted(asking, ann), await granted(asking, bob)], [0, 0]);
    const asked = await shared.open(url);
    assert.ok(asked.text.includes(bob.email) && !asked.text.includes(ann.email), 'he is asked himself');
    const back = await shared.open(url, {
      form: { decision: 'allow', token: fieldsOf(asked.text).token ?? '' },
      until: redirectUri,
    });
    assert.match(back.url, /[?&]code=/);
    assert.deepEqual([await granted(asking, ann), await granted(asking, bob)], [0, 2]);
  });

  it('S34 a yes that Ann has said does not become one of Bob, who signs in before the browser goes on', async () => {
    const asking = await makeAny();
    const shared = await target.browserOf(ann);
    const { url, token, uid } = await askConsent(shared, asking);
    const said = await target.submit(shared, url, { decision: 'allow', token });
    assert.match(said.headers.get('refresh') ?? '', /\/oauth\/authorize\//);
    const bob = await target.makeUser();
    shared.cookies.get(new URL(target.issuer).host)?.delete('postern-continue');
    await target.browserOf(bob, undefined, shared);
    const page = await shared.open(at(`/oauth/authorize/${uid}`), { until: redirectUri });
    assert.doesNotMatch(page.url, /code=/);
    assert.equal(await granted(asking, bob), 0);
  });

  it('S41 a user of another tenant is nobody to a client, with a session or without', async () => {
    const silent = await target.knock(browser, target.authorizeUrl(elsewhere, { prompt: 'none' }).url);
    assert.match(silent.headers.get('location') ?? '', /error=login_required/);
    const page = await browser.open(target.authorizeUrl(elsewhere).url, { until: redirectUri });
    assert.match(page.url, /\/sign-in\?server=elsewhere/);
    // Signed in as they are, they come no further.
    const login = await browser.open(at('/sign-in'), { form: { email: ann.email, password }, until: redirectUri });
    assert.doesNotMatch(login.url, /code=/);
    assert.equal(await granted(elsewhere, ann), 0);
  });

  it('S34 no page can be framed', async () => {
    const { url } = await askConsent(browser, await makeAny());
    const device = (await post('/oauth/device', { ...named(client), scope: 'openid' })).body;
    const form = await browser.open(at('/device'));
    const pages = {
      '/sign-in': await target.knock(browser, '/sign-in'),
      consent: await target.knock(browser, url),
      'consent of nobody': await target.knock(openBrowser(), url),
      device: await target.knock(browser, '/device'),
      'device of a code': await target.knock(browser, `/device?user_code=${device.user_code}`),
      'device to confirm': await browser.open(at('/device'), {
        form: { ...fieldsOf(form.text), user_code: device.user_code },
      }),
      'wrong device': await target.submit(browser, '/device', { user_code: 'x' }),
      logout: await target.knock(browser, '/oauth/logout'),
      'logged out': await target.knock(browser, '/oauth/logout/success'),
      'logout without a page': await target.submit(browser, '/oauth/logout/confirm', {}),
      'wrong logout': await target.knock(browser, '/oauth/logout?client_id=nobody'),
      error: await target.knock(browser, '/oauth/authorize'),
      resume: await target.knock(browser, '/oauth/authorize/nothing'),
      redirect: await target.knock(browser, target.authorizeUrl(client, { prompt: 'none' }).url),
      form_post: await target.knock(
        browser,
        target.authorizeUrl(client, { prompt: 'none', response_mode: 'form_post' }).url,
      ),
    };
    for (const [name, { headers }] of Object.entries(pages)) {
      assert.match(headers.get('content-security-policy') ?? '', /(^|;)\s*frame-ancestors 'none'(;|$)/, name);
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/, name);
      assert.equal(headers.get('x-frame-options'), 'DENY', name);
      assert.equal(headers.get('x-content-type-options'), 'nosniff', name);
      assert.equal(headers.get('cache-control'), 'no-store', name);
    }
  });

  it('S34 whatever is written on a page is text', async () => {
    const named_ = await makeAny({ client_name: evil });
    const asked = await askConsent(browser, named_, { login_hint: evil, state: evil, nonce: evil });
    assert.ok(asked.text.includes('&lt;svg'), 'it is there, as text');
    const device = (await post('/oauth/device', { ...named(named_), scope: 'openid' })).body;
    const form = fieldsOf((await browser.open(at('/device'))).text);
    const open = (path: string, who = browser) => who.open(at(path));
    const query = (parameters: Parameters) => new URLSearchParams(defined(parameters));
    const bad = (parameters: Parameters) => browser.open(target.authorizeUrl(named_, parameters).url);
    const pages = [
      asked,
      await bad({ redirect_uri: evil }),
      await bad({
        redirect_uri: evil,
        scope: evil,
        state: evil,
        prompt: evil,
        response_type: evil,
        response_mode: evil,
      }),
      await bad({ client_id: evil, redirect_uri: evil }),
      await bad({ request_uri: evil, redirect_uri: evil }),
      await bad({ request: evil, redirect_uri: evil }),
      await browser.open(target.authorizeUrl(named_, { prompt: 'none', response_mode: 'form_post', state: evil }).url),
      await browser.open(target.authorizeUrl(named_, { scope: evil, response_mode: 'form_post', state: evil }).url),
      await open(`/oauth/authorize/${encodeURIComponent(evil)}`),
      await open(`/oauth/interaction/${encodeURIComponent(evil)}`),
      await openBrowser().open(target.authorizeUrl(named_, { login_hint: evil }).url),
      await open(`/sign-in?${query({ login_hint: evil, error: evil })}`),
      await open(`/sign-in?${query({ server: evil })}`),
      await open(`/device?${query({ user_code: evil })}`),
      await browser.open(at('/device'), { form: { ...form, user_code: evil } }),
      await browser.open(at('/device'), {
        form: { ...fieldsOf((await open('/device')).text), user_code: device.user_code },
      }),
      await open(`/oauth/logout?${query({ client_id: named_.client_id, state: evil })}`),
      await open(`/oauth/logout?${query({ client_id: evil })}`),
      await open(`/oauth/logout?${query({ client_id: named_.client_id, post_logout_redirect_uri: evil })}`),
      await open(`/oauth/logout?${query({ id_token_hint: evil })}`),
      await open(`/oauth/logout/success?${query({ client_id: evil })}`),
    ];
    for (const { url, status, text, headers } of pages) {
      assert.match(headers.get('content-type') ?? '', /^text\/html/, url);
      assert.ok(status < 500, `${url}: ${status}`);
      assert.doesNotMatch(text, /<svg|"&gt;|'\{\{/i, url);
    }
    assert.ok(pages.filter(({ text }) => text.includes('&lt;svg')).length >= 6, 'some of them say it');
  });

  it('signs nobody out by a link, by a form of another page, or by a hint that was forged', async () => {
    const { id_token } = await target.tokensFor(browser, client);
    const { id_token: others } = await target.tokensFor(browser, await makeAny());
    const [, claims = ''] = id_token.split('.');
    const payload = JSON.parse(Buffer.from(claims, 'base64url').toString());
    const thief = await newKeyHolder('RS256');
    const alone = Buffer.from('{"alg":"none"}').toString('base64url');
    const good = { id_token_hint: id_token, client_id: client.client_id, post_logout_redirect_uri: afterLogout };
    for (const query of [{}, good, { ...good, logout: 'yes', xsrf: 'x' }]) {
      const page = await target.knock(browser, `/oauth/logout?${new URLSearchParams(query)}`);
      assert.deepEqual([page.status, page.headers.get('location')], [200, null]);
      assert.doesNotMatch(page.text, /<script|http-equiv="refresh"/i);
    }
    for (const [query, about] of [
      [{ ...good, id_token_hint: await thief.sign(payload) }, 'another key'],
      [{ ...good, id_token_hint: `${alone}.${claims}.` }, 'no signature'],
      [{ ...good, id_token_hint: others }, 'of another client'],
      [{ ...good, id_token_hint: 'rubbish' }, 'rubbish'],
      ...[
        `${afterLogout}/`,
        `${afterLogout}?x`,
        'https://evil.example',
        'https://CLIENT.example/bye',
        `${afterLogout}#`,
      ].map((uri) => [{ ...good, post_logout_redirect_uri: uri }, uri] as const),
      [{ client_id: 'nobody', post_logout_redirect_uri: 'https://evil.example' }, 'nobody'],
    ] as [Record<string, string>, string][]) {
      const page = await target.knock(browser, `/oauth/logout?${new URLSearchParams(query)}`);
      assert.ok(page.status === 400 || page.status === 401, `${about}: ${page.status}`);
      assert.equal(page.headers.get('location'), null, about);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    }
    const another = openBrowser();
    await target.browserOf(await target.makeUser(), undefined, another);
    const foreign = fieldsOf((await another.open(at('/oauth/logout'))).text);
    const { text } = await browser.open(at(`/oauth/logout?${new URLSearchParams({ ...good, state: 'a+b%2B' })}`));
    const { xsrf = '' } = fieldsOf(text);
    for (const form of [{}, { xsrf: '' }, { xsrf: 'x' }, foreign, { xsrf: `${xsrf}x` }, { xsrf: 'undefined' }]) {
      const reply = await target.submit(browser, '/oauth/logout/confirm', { ...form, logout: 'yes' });
      assert.equal(reply.status, 400, JSON.stringify(form));
    }
    const bare = await target.submit(openBrowser(), '/oauth/logout/confirm', { xsrf, logout: 'yes' });
    assert.equal(bare.status, 400, 'without the cookie');
    const stay = await target.knock(browser, `/oauth/logout/confirm?${new URLSearchParams({ xsrf, logout: 'yes' })}`);
    assert.ok(stay.status === 404 || stay.status === 405);
    assert.ok(await isSignedIn(browser), 'after all this');

    const nobody = await browser.open(at(`/oauth/logout?post_logout_redirect_uri=https://evil.example`));
    const left = await target.browserOf(ann);
    const unnamed = fieldsOf((await left.open(at('/oauth/logout?post_logout_redirect_uri=https://evil.example'))).text);
    const done = await target.submit(left, '/oauth/logout/confirm', { ...unnamed, logout: 'yes' });
    assert.match(done.headers.get('location') ?? '', /\/oauth\/logout\/success$/, nobody.text);
    assert.equal(await isSignedIn(left), false, 'and its own form does it');
    const whole = fieldsOf(
      (await browser.open(at(`/oauth/logout?${new URLSearchParams({ ...good, state: 'a+b%2B' })}`))).text,
    );
    const back = await target.submit(browser, '/oauth/logout/confirm', { ...whole, logout: 'yes' });
    const to = new URL(back.headers.get('location') ?? 'none:');
    assert.deepEqual([`${to.origin}${to.pathname}`, to.searchParams.get('state')], [afterLogout, 'a+b%2B']);
    browser = await target.browserOf(ann);
  });

  it('makes no address of what a request says of itself', async () => {
    const lies = {
      ...{ host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
      ...{ 'x-forwarded-for': '203.0.113.9', 'x-forwarded-port': '666', 'x-forwarded-prefix': '/evil' },
      ...{ forwarded: 'host=evil.example;proto=https', 'x-original-url': '/evil', 'x-rewrite-url': '/evil' },
    };
    const cookie = [...(browser.cookies.get(new URL(target.issuer).host) ?? [])]
      .map((pair) => pair.join('='))
      .join('; ');
    const send = (method: string, path: string, form?: Record<string, string>) =>
      new Promise<{ status: number; text: string }>((resolve, reject) => {
        const body = form && `${new URLSearchParams(form)}`;
        const headers = {
          ...lies,
          cookie,
          accept: 'text/html',
          ...(body && { 'content-type': 'application/x-www-form-urlencoded' }),
        };
        const sent = request({ host: '127.0.0.1', port: target.postern.port, method, path, headers }, async (reply) => {
          let text = JSON.stringify(reply.headers);
          for await (const chunk of reply) text += chunk;
          resolve({ status: reply.statusCode ?? 0, text });
        });
        sent.on('error', reject).end(body);
      });
    const asking = await makeAny();
    const { url, all } = target.authorizeUrl(asking);
    const { search } = new URL(url);
    const device = await send('POST', '/oauth/device', { ...named(asking), scope: 'openid' });
    for (const { status, text } of [
      await send('GET', '/.well-known/openid-configuration'),
      await send('GET', '/.well-known/oauth-authorization-server'),
      await send('GET', `/oauth/authorize${search}`),
      await send('GET', `/oauth/authorize${search}&prompt=none`),
      await send('GET', `http://evil.example/oauth/authorize${search}`),
      await send('POST', '/oauth/authorize', defined(all)),
      await send('POST', '/oauth/par', { ...defined(all), ...named(asking) }),
      device,
      await send('GET', '/device'),
      await send('GET', '/oauth/logout'),
      await send('POST', '/oauth/logout', {}),
      await send('GET', '/oauth/userinfo'),
      await send('POST', '/oauth/token', { ...named(asking), grant_type: 'refresh_token', refresh_token: 'x' }),
    ]) {
      assert.ok(status < 500, text);
      assert.doesNotMatch(text, /evil|https:\/\/localhost|:666/, text);
    }
    assert.ok(device.text.includes(`"verification_uri":"${target.issuer}/device"`), device.text);
    const metadata = await send('GET', '/.well-known/openid-configuration');
    assert.ok(metadata.text.includes(`"issuer":"${target.issuer}"`));
    const signed = await target.tokensFor(browser, client);
    assert.equal(
      JSON.parse(Buffer.from(signed.id_token.split('.')[1] ?? '', 'base64url').toString()).iss,
      target.issuer,
    );
  });

  it('takes a pushed request from its own client alone, once, and no signed one (JAR)', async () => {
    const mine = await makeAny({ skip_consent: true });
    const other = await makeAny({ skip_consent: true, redirect_uris: ['https://other.example/callback'] });
    const push = async (of: RawClient) => {
      const reply = await post('/oauth/par', { ...defined(target.authorizeUrl(of).all), ...named(of) });
      assert.equal(reply.status, 201, reply.text);
      return reply.body.request_uri as string;
    };
    const use = (of: RawClient, request_uri: string, more: Record<string, string> = {}) =>
      target.knock(
        browser,
        `/oauth/authorize?${new URLSearchParams({ client_id: of.client_id, request_uri, ...more })}`,
      );
    const codeIn = ({ headers }: Reply) => /[?&]code=/.test(headers.get('location') ?? '');
    const requestUri = await push(mine);
    for (const reply of [
      await use(other, requestUri),
      await use(other, requestUri, { redirect_uri: redirectUri, response_type: 'code' }),
      await use(mine, `${requestUri}x`),
      await use(mine, 'https://evil.example/request'),
      await use(mine, 'urn:ietf:params:oauth:request_uri:'),
    ]) {
      assert.equal(reply.status, 400, reply.text);
      assert.equal(reply.headers.get('location'), null);
    }
    assert.ok(codeIn(await use(mine, requestUri)));
    assert.equal((await use(mine, requestUri)).status, 400, 'once');
    const shared = await push(mine);
    const all = await Promise.all(Array.from({ length: 10 }, () => use(mine, shared)));
    assert.ok(all.filter(codeIn).length <= 1, 'also of ten at once');

    const holder = await newKeyHolder();
    const claims = { ...defined(target.authorizeUrl(mine).all), iss: mine.client_id, aud: target.issuer };
    const unsigned = [{ alg: 'none' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    for (const jar of [`${unsigned.join('.')}.`, await holder.sign(claims)]) {
      const reply = await target.knock(browser, target.authorizeUrl(mine, { request: jar }).url);
      assert.match(reply.headers.get('location') ?? '', /[?&]error=request_not_supported/);
      const pushed = await post('/oauth/par', { ...named(mine), request: jar });
      assert.equal(pushed.status, 400, pushed.text);
    }
  });

  it('approves a device by the form of its own page, and in a name of its client’s tenant', async () => {
    const begin = async (of: RawClient) => (await post('/oauth/device', { ...named(of), scope: 'openid' })).body;
    const poll = async (of: RawClient, device_code: string) =>
      (await target.ask(of, { grant_type: deviceCode, device_code })).body.error;
    const trusted = await makeAny({ skip_consent: true });
    const { device_code, user_code } = await begin(trusted);
    const other = openBrowser();
    const foreign = fieldsOf((await other.open(at('/device'))).text);
    const { xsrf = '' } = fieldsOf((await browser.open(at('/device'))).text);
    const yes = { user_code, confirm: 'yes' };
    for (const form of [yes, { ...yes, xsrf: '' }, { ...yes, xsrf: 'x' }, { ...yes, ...foreign, user_code }]) {
      assert.equal((await target.submit(browser, '/device', form)).status, 400, JSON.stringify(form));
    }
    const bare = openBrowser();
    const session = browser.cookies.get(new URL(target.issuer).host)?.get('postern-session') ?? '';
    bare.cookies.set(new URL(target.issuer).host, new Map([['postern-session', session]]));
    assert.equal(
      (await target.submit(bare, '/device', { ...yes, xsrf })).status,
      400,
      'without the cookie of the page',
    );
    for (const query of [yes, { ...yes, xsrf }]) await browser.open(at(`/device?${new URLSearchParams(query)}`));
    assert.equal(await poll(trusted, device_code), 'authorization_pending');

    const theirs = await begin(elsewhere);
    const page = fieldsOf((await browser.open(at('/device'))).text);
    const sent = await browser.open(at('/device'), { form: { ...page, user_code: theirs.user_code, confirm: 'yes' } });
    assert.match(sent.url, /\/sign-in\?server=elsewhere/);
    assert.equal(await poll(elsewhere, theirs.device_code), 'authorization_pending');
    assert.equal(await granted(elsewhere, ann), 0);
  });

  it('lets nobody try out codes of devices: twenty wrong ones from one address, then 429', async () => {
    await target.db`DELETE FROM limits`;
    const trying = async (user_code: string) => {
      const form = { ...fieldsOf((await browser.open(at('/device'))).text), user_code };
      return target.knock(browser, '/device', {
        method: 'POST',
        body: `${new URLSearchParams(form)}`,
        headers: {
          ...{ origin: target.issuer, 'content-type': 'application/x-www-form-urlencoded' },
          'x-forwarded-for': `203.0.113.${Math.floor(Math.random() * 255)}`,
        },
      });
    };
    const { user_code } = (await post('/oauth/device', { ...named(client), scope: 'openid' })).body;
    for (let i = 0; i < 3; i++) assert.equal((await trying(user_code)).status, 200, 'a good one costs nothing');
    const statuses: number[] = [];
    while (statuses.at(-1) !== 429 && statuses.length < 40) statuses.push((await trying('BBBB-BBBB')).status);
    assert.deepEqual([...new Set(statuses)], [400, 429]);
    // One comes back in half a minute, so a slow machine gets one or two more.
    assert.ok(statuses.length > 20 && statuses.length < 25, String(statuses.length));
    const limited = await trying(user_code);
    assert.equal(limited.status, 429, 'the right one is not told then either');
    assert.ok(Number(limited.headers.get('retry-after')) > 0);
    assert.match(limited.headers.get('content-type') ?? '', /^text\/html/);
  });
});
