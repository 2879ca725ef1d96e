/** Attacks on the pages of the OAuth server, and on whoever is sent through them (quality S34, S41). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser } from '../support/browser.ts';
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
    elsewhere = (await target.makeElsewhere()).client;
  });
  after(() => target.close());

  const makeAny = (metadata: object = {}) =>
    target.makeClient({
      grant_types: ['authorization_code', 'refresh_token', deviceCode],
      ...metadata,
    });
  const at = (path: string) => `${target.issuer}${path}`;
  const post = (path: string, form: Record<string, string>) => target.postern.call('POST', path, { form });
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
    const former = await target.submit(browser, first.url, { decision: 'allow', token: first.token });
    assert.deepEqual([former.status, (await target.knock(browser, first.url)).status], [400, 400]);
    for (const stranger of [openBrowser(), other, again]) {
      tries.push(['another browser', await target.submit(stranger, url, good)]);
      tries.push(['another browser', await target.knock(stranger, url)]);
      tries.push(['another browser', await target.knock(stranger, `/oauth/authorize/${uid}`)]);
    }
    // Last, for it begins anew whatever was asked.
    tries.push(['resume', await target.knock(browser, `/oauth/authorize/${uid}`)]);
    tries.push(['resume with it', await target.knock(browser, `/oauth/authorize/${uid}?${new URLSearchParams(good)}`)]);
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
});
