/** What a client may ask for beside signing in: silence, haste, a second factor, somebody in particular, single claims. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as client from 'openid-client';
import { type Browser, openBrowser } from '../support/browser.ts';
import {
  addApp,
  begin,
  discover,
  exchange,
  follow,
  makePerson,
  makePersonWithApp,
  openStage,
  outcomeOf,
  redirectUri,
  registerClient,
  type Stage,
  send,
  signIn,
} from '../support/relying-party.ts';

const isBack = ({ url }: { url: string }) => url.startsWith(redirectUri);
const pathOf = ({ url }: { url: string }) => new URL(url).pathname;
/** Their order says nothing. */
const sortedAmr = (claims: Record<string, unknown> = {}) => [...(claims.amr as string[])].sort();
const timeOf = (tokens: { claims: () => client.IDToken | undefined }) => Number(tokens.claims()?.auth_time);

describe('an authorization request', () => {
  let stage: Stage;
  let config: client.Configuration;
  before(async () => {
    stage = await openStage();
    config = await discover(stage.postern, await registerClient(stage));
  });
  after(() => stage.close());

  /** Somebody who has signed in at this browser, and at the client, an hour ago. */
  async function hourAgo(party = config) {
    const person = await makePerson(stage.postern);
    const { browser, tokens } = await signIn(party, person);
    await stage.db`
      UPDATE sessions SET authenticated_at = now() - interval '1 hour' WHERE user_id = ${person.uuid}`;
    return { person, browser, tokens };
  }
  /** What comes of a request where nobody does anything. */
  async function silently(browser: Browser, parameters: Record<string, string>, party = config) {
    const flow = await begin(party, { prompt: 'none', ...parameters });
    const page = await browser.open(flow.url.href, { until: redirectUri });
    assert.ok(isBack(page), `${page.url}: ${page.text}`);
    return outcomeOf(exchange(party, flow, page.url));
  }
  const opened = async (browser: Browser, parameters: Record<string, string>, party = config) => {
    const flow = await begin(party, parameters);
    return { flow, page: await browser.open(flow.url.href, { until: redirectUri }) };
  };

  it('with prompt=none is answered at once: who is signed in and has said yes, or what is missing', async () => {
    assert.equal(await silently(openBrowser(), {}), 'login_required');
    const { browser } = await hourAgo();
    assert.equal(await silently(browser, {}), 'done');
    assert.equal(await silently(browser, { scope: 'openid profile email basic' }), 'consent_required');
    const other = await discover(stage.postern, await registerClient(stage));
    assert.equal(await silently(browser, {}, other), 'consent_required');
    const flow = await begin(config, { prompt: 'none login' });
    const page = await browser.open(flow.url.href, { until: redirectUri });
    assert.equal(await outcomeOf(exchange(config, flow, page.url)), 'invalid_request');
  });

  it('with prompt=login is answered when the user has shown again that it is them', async () => {
    const { person, browser, tokens } = await hourAgo();
    const { page, flow } = await opened(browser, { prompt: 'login' });
    assert.equal(pathOf(page), '/account/step-up');
    assert.match(page.text, /href="\/sign-in\?server=default"/, 'another account is one of the same tenant');
    const skipped = await browser.open(new URL(`/oauth/interaction/${uidOf(browser)}`, stage.url).href);
    assert.equal(pathOf(skipped), '/account/step-up', 'going round the page does not help');
    const wrong = await send(browser, page, '/account/step-up/password', { password: 'wrong' });
    assert.equal(wrong.status, 401);
    const back = await follow(browser, page.url, person);
    const again = await exchange(config, flow, back.url);
    assert.equal(again.claims()?.sub, tokens.claims()?.sub);
    assert.ok(timeOf(again) >= timeOf(tokens));
    const fresh = await signIn(config, person, { parameters: { prompt: 'login' } });
    assert.equal(fresh.tokens.claims()?.sub, person.uuid, 'without a session it is a login as any other');
  });

  it('with max_age is answered with a login no older than that', async () => {
    const { person, browser } = await hourAgo();
    assert.equal(await silently(browser, { max_age: '7200' }), 'done');
    assert.equal(await silently(browser, { max_age: '60' }), 'login_required');
    const { page, flow } = await opened(browser, { max_age: '60' });
    assert.equal(pathOf(page), '/account/step-up');
    const back = await follow(browser, page.url, person);
    const tokens = await exchange(config, flow, back.url, {}, 60);
    assert.ok(timeOf(tokens) > Date.now() / 1_000 - 60);
    assert.equal(await silently(browser, { max_age: '600' }), 'done', 'of this browser, not of this flow');
    assert.equal(pathOf((await opened(browser, { max_age: '0' })).page), '/account/step-up');
  });

  it('of a client with default_max_age, default_acr_values and require_auth_time needs not say so', async () => {
    const metadata = { default_max_age: 60, require_auth_time: true, default_acr_values: ['aal2'] };
    const made = await registerClient(stage, metadata);
    const strict = await client.discovery(
      new URL(stage.url),
      made.client_id,
      { ...metadata, client_secret: made.client_secret ?? '' },
      undefined,
      { execute: [client.allowInsecureRequests] },
    );
    const { person, browser } = await hourAgo(strict);
    assert.equal(await silently(browser, {}, strict), 'login_required');
    const { tokens } = await signIn(strict, person, { browser });
    assert.equal(tokens.claims()?.acr, 'aal1');
    const app = await addApp(stage, person);
    assert.equal((await signIn(strict, app, { browser })).tokens.claims()?.acr, 'aal2');
  });

  it('with acr_values=aal2 asks for the second factor of who has one; who has none comes in all the same', async () => {
    const acr_values = 'aal2';
    const without = await hourAgo();
    const { tokens } = await signIn(config, without.person, { browser: without.browser, parameters: { acr_values } });
    assert.deepEqual([tokens.claims()?.acr, tokens.claims()?.amr], ['aal1', ['pwd']]);
    const person = await addApp(stage, without.person);
    const { page } = await opened(without.browser, { acr_values });
    assert.equal(pathOf(page), '/account/step-up');
    assert.equal(await silently(without.browser, { acr_values }), 'login_required');
    const again = await signIn(config, person, { browser: without.browser, parameters: { acr_values } });
    assert.deepEqual([again.tokens.claims()?.acr, sortedAmr(again.tokens.claims())], ['aal2', ['mfa', 'otp', 'pwd']]);
    assert.equal(await silently(without.browser, { acr_values }), 'done');
    const introspected = await client.tokenIntrospection(config, again.tokens.access_token);
    assert.deepEqual([introspected.acr, sortedAmr(introspected)], ['aal2', ['mfa', 'otp', 'pwd']]);
    const elsewhere = await signIn(config, await makePersonWithApp(stage), { parameters: { acr_values } });
    assert.equal(elsewhere.tokens.claims()?.acr, 'aal2', 'with one login');
  });

  it('with an essential acr is answered with that or with an error', async () => {
    const claims = JSON.stringify({ id_token: { acr: { essential: true, values: ['aal2'] } } });
    const { person, browser } = await hourAgo();
    assert.notEqual(await silently(browser, { claims }), 'done');
    const flow = await begin(config, { claims });
    const back = await follow(browser, flow.url.href, person);
    assert.equal(await outcomeOf(exchange(config, flow, back.url)), 'unmet_authentication_requirements');
    const fresh = await begin(config, { claims });
    const refused = await follow(openBrowser(), fresh.url.href, person);
    assert.equal(await outcomeOf(exchange(config, fresh, refused.url)), 'unmet_authentication_requirements');
    const withApp = await addApp(stage, person);
    const { tokens } = await signIn(config, withApp, { browser, parameters: { claims } });
    assert.equal(tokens.claims()?.acr, 'aal2');
  });

  it('with login_hint finds the name on the page, as text', async () => {
    const hinted = await opened(openBrowser(), { login_hint: 'ann@oauth.example' });
    assert.match(hinted.page.text, /name="email"[^>]*value="ann@oauth\.example"/);
    const odd = await opened(openBrowser(), { login_hint: '"><script>alert(1)</script>' });
    assert.equal(pathOf(odd.page), '/sign-in');
    assert.ok(!odd.page.text.includes('<script>alert'));
  });

  it('for somebody in particular, by id_token_hint or by their sub, is answered for them alone', async () => {
    const ann = await hourAgo();
    const bob = await hourAgo();
    const sub = (value: string) => ({ claims: JSON.stringify({ id_token: { sub: { value } } }) });
    for (const [hers, his] of [
      [{ id_token_hint: ann.tokens.id_token ?? '' }, { id_token_hint: bob.tokens.id_token ?? '' }],
      [sub(ann.person.uuid), sub(bob.person.uuid)],
    ] as const) {
      assert.equal(await silently(ann.browser, hers), 'done');
      assert.equal(await silently(ann.browser, his), 'login_required');
    }
    const hint = { id_token_hint: bob.tokens.id_token ?? '' };
    const { page, flow } = await opened(ann.browser, hint);
    assert.equal(pathOf(page), '/sign-in');
    const still = await send(ann.browser, page, '/sign-in', { email: ann.person.email, password: 'Password@123' });
    assert.equal(pathOf(still), '/sign-in', 'she is not whom the client expects');
    const back = await follow(ann.browser, still.url, bob.person);
    assert.equal((await exchange(config, flow, back.url)).claims()?.sub, bob.person.uuid);
    const forged = await opened(bob.browser, { id_token_hint: `${bob.tokens.id_token?.slice(0, -6)}AAAAAA` });
    assert.match(forged.page.url, /error=invalid_request/);
  });

  it('for single claims is told those, where the user lets it', async () => {
    const person = await makePerson(stage.postern);
    const claims = JSON.stringify({ id_token: { name: null }, userinfo: { email: { essential: true } } });
    const flow = await begin(config, { scope: 'openid', claims });
    const browser = openBrowser();
    const asked = await follow(browser, flow.url.href, person, { decision: 'think' });
    assert.match(asked.text, /see: .*(name.*email|email.*name)/);
    const back = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    const tokens = await exchange(config, flow, back.url);
    assert.deepEqual([tokens.claims()?.name, tokens.claims()?.email], ['Ann', undefined]);
    const told = await client.fetchUserInfo(config, tokens.access_token, person.uuid);
    assert.deepEqual([told.email, told.name], [person.email, undefined]);
    assert.equal(await silently(browser, { scope: 'openid', claims }), 'done', 'it is remembered');
    const more = JSON.stringify({ userinfo: { picture: null } });
    assert.equal(await silently(browser, { scope: 'openid', claims: more }), 'consent_required');
    const faulty = await opened(browser, { claims: '{"userinfo":' });
    assert.match(faulty.page.url, /error=invalid_request/);
  });

  it('may ask for scopes of the client alone, and gets what there is of them', async () => {
    const person = await makePerson(stage.postern);
    const scope = 'openid users:read mail:admin nonsense';
    const flow = await begin(config, { scope });
    const browser = openBrowser();
    const asked = await follow(browser, flow.url.href, person, { decision: 'think' });
    assert.match(asked.text, /read the other users/);
    assert.doesNotMatch(asked.text, /administer|nonsense/, 'nobody is asked for what the client cannot get');
    const back = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    const tokens = await exchange(config, flow, back.url);
    assert.equal(tokens.scope, 'openid', 'the user has no right to read others, so the client has none in their name');
    assert.equal(await silently(browser, { scope }), 'done');
    const consents = (await stage.postern.call('GET', '/auth/consents', person)).body.data;
    assert.equal(consents[0].scope, 'openid users:read');
    const narrow = await discover(stage.postern, await registerClient(stage, { scope: 'openid' }));
    const refused = await opened(browser, { scope: 'openid email' }, narrow);
    assert.match(refused.page.url, /error=invalid_scope/, 'of scopes that it knows the library says so');
  });

  it('without openid is plain OAuth 2: an access token and a refresh token, and nothing of the user', async () => {
    const person = await makePerson(stage.postern);
    const { url, verifier, state } = await begin(config, { scope: 'basic' });
    url.searchParams.delete('nonce');
    const back = await follow(openBrowser(), url.href, person);
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await client.authorizationCodeGrant(config, new URL(back.url), checks);
    assert.deepEqual([tokens.scope, tokens.id_token], ['basic', undefined]);
    assert.equal((await stage.postern.call('GET', '/auth/me', { token: tokens.access_token })).status, 200);
    const userinfo = client.fetchUserInfo(config, tokens.access_token, client.skipSubjectCheck);
    assert.equal(await outcomeOf(userinfo), 'insufficient_scope');
    assert.equal((await client.refreshTokenGrant(config, tokens.refresh_token ?? '')).scope, 'basic');
  });

  function uidOf(browser: Browser): string {
    const jar = browser.cookies.get(new URL(stage.url).host);
    return jar?.get('postern-interaction') ?? assert.fail('no interaction');
  }
});
