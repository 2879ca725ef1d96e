/** Attacks on signing out, on devices, on pushed requests, and by what a request says of itself. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser } from '../support/browser.ts';
import { newKeyHolder } from '../support/proof.ts';
import {
  defined,
  fieldsOf,
  named,
  type RawClient,
  type RawUser,
  startTarget,
  type Target,
} from '../support/raw-client.ts';
import { redirectUri } from '../support/relying-party.ts';
import type { Reply } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const afterLogout = 'https://client.example/bye';

describe('attacks on the other endpoints', () => {
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

  it('lets nobody fill the database from one address by sign-ins that are begun and left, and stops nobody who is in', async () => {
    const { db } = target;
    const open = await makeAny({ token_endpoint_auth_method: 'none' });
    const { all } = target.authorizeUrl(open);
    const ways: [string, () => Promise<number>, number][] = [
      ['authorize', async () => (await target.knock(openBrowser(), target.authorizeUrl(open).url)).status, 303],
      ['push', async () => (await post('/oauth/par', defined(all))).status, 201],
      // An empty secret proves nothing.
      ['push with one', async () => (await post('/oauth/par', { ...defined(all), client_secret: '' })).status, 201],
      ['device', async () => (await post('/oauth/device', { ...named(open), scope: 'openid' })).status, 200],
    ];
    const artifacts = async () => (await db`SELECT FROM oauth_artifacts`).length;
    const beginAnew = async (way: string, ask: () => Promise<number>, good: number) => {
      await db`DELETE FROM limits`;
      // Where it was empty, the node remembers that for half a second.
      await waitFor(async () => (await ask()) === good, { what: `${way} to be let through` });
    };
    for (const [way, ask, good] of ways) {
      await beginAnew(way, ask, good);
      // A thousand may be begun at once; all but ten of them have been.
      await waitFor(async () => (await db`UPDATE limits SET paid_at = now() + interval '495 s'`).count === 1, {
        what: `the count of ${way}`,
      });
      const before = await artifacts();
      const statuses: number[] = [];
      while (statuses.at(-1) !== 429 && statuses.length < 60) statuses.push(await ask());
      assert.deepEqual([...new Set(statuses)], [good, 429], way);
      // Two come back in a second, and one is under way as the last one is counted.
      assert.ok(statuses.length > 10, `${way}: ${statuses.length}`);
      assert.equal((await artifacts()) - before, statuses.length - 1, way);
    }
    const refused = await target.knock(openBrowser(), target.authorizeUrl(client).url);
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.match(refused.headers.get('content-type') ?? '', /^text\/html/);
    const pushed = await post('/oauth/par', defined(all));
    assert.deepEqual([pushed.status, pushed.body.error], [429, 'temporarily_unavailable']);
    for (const way of ways) await beginAnew(...way);
  });

  it('counts no sign-in that comes to its end', async () => {
    await target.db`DELETE FROM limits`;
    await target.knock(openBrowser(), target.authorizeUrl(client).url);
    await waitFor(async () => (await target.db`UPDATE limits SET paid_at = now() + interval '1 day'`).count === 1, {
      what: 'the count',
    });
    const isFull = async () => (await target.knock(openBrowser(), target.authorizeUrl(client).url)).status === 429;
    await waitFor(isFull, { what: 'the address to be refused' });
    await target.db`UPDATE limits SET paid_at = now() + interval '495 s'`;
    await waitFor(async () => !(await isFull()), { what: 'the address to be let through' });
    // Three times as many as could be begun, and two that come back each second.
    for (let i = 0; i < 30; i++) await target.codeFor(browser, client, { prompt: 'consent' });
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
    // One comes back in half a minute, so a slow machine gets a few more.
    assert.ok(statuses.length > 20 && statuses.length < 30, String(statuses.length));
    const limited = await trying(user_code);
    assert.equal(limited.status, 429, 'the right one is not told then either');
    assert.ok(Number(limited.headers.get('retry-after')) > 0);
    assert.match(limited.headers.get('content-type') ?? '', /^text\/html/);
  });
});
