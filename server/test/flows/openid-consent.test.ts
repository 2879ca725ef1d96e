/** What users let clients do in their name, and how that ends: taken back, signed out, gone. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as client from 'openid-client';
import { type Browser, openBrowser } from '../support/browser.ts';
import {
  begin,
  discover,
  exchange,
  follow,
  hasEnded,
  makePerson,
  openStage,
  outcomeOf,
  type Person,
  password,
  redirectUri,
  registerClient,
  type Stage,
  send,
  signIn,
} from '../support/relying-party.ts';
import { waitFor } from '../support/wait-for.ts';

const offline = { scope: 'openid profile email offline_access', prompt: 'consent' };
const isBack = ({ url }: { url: string }) => url.startsWith(redirectUri);

describe('the consent of a user', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  const newClient = async (metadata: object = {}) => discover(stage.postern, await registerClient(stage, metadata));
  const refresh = (config: client.Configuration, token: string | undefined) =>
    client.refreshTokenGrant(config, token ?? '');
  /** Signs in, if that is needed, and stops before saying yes or no. */
  async function ask(
    config: client.Configuration,
    person: Person,
    { browser = openBrowser(), ...parameters }: { browser?: Browser; scope?: string; prompt?: string } = {},
  ) {
    const flow = await begin(config, parameters);
    return { flow, browser, page: await follow(browser, flow.url.href, person, { decision: 'think' }) };
  }

  it('is asked for once, on a page that names the client, the user and what it may, and remembered over sessions', async () => {
    const config = await newClient({ client_name: 'The <Calendar>', policy_uri: 'https://calendar.example/privacy' });
    const person = await makePerson(stage.postern);
    const { page, browser, flow } = await ask(config, person);
    assert.match(page.text, /The &lt;Calendar&gt; would like to sign you in/);
    for (const word of [person.email, 'know that it is you', 'see your e-mail address', 'calendar.example/privacy'])
      assert.ok(page.text.includes(word), word);
    const back = await send(browser, page, '/oauth/interaction', { decision: 'allow' });
    assert.ok((await exchange(config, flow, back.url)).access_token);
    for (const one of [browser, openBrowser()]) assert.ok(isBack((await ask(config, person, { browser: one })).page));
  });

  it('is asked for again where the client wants more, or asks for it by prompt=consent; not where it wants less', async () => {
    const config = await newClient();
    const person = await makePerson(stage.postern);
    const { browser } = await signIn(config, person, { parameters: { scope: 'openid email' } });
    assert.ok(isBack((await ask(config, person, { browser, scope: 'openid' })).page));
    const { page } = await ask(config, person, { browser, scope: 'openid profile' });
    assert.ok(!isBack(page) && page.text.includes('see your name and picture'));
    await send(browser, page, '/oauth/interaction', { decision: 'allow' });
    assert.ok(isBack((await ask(config, person, { browser, scope: 'openid profile email' })).page), 'it adds up');
    assert.ok(!isBack((await ask(config, person, { browser, prompt: 'consent' })).page));
  });

  it('is asked of everybody themselves, in the same browser too', async () => {
    const config = await newClient();
    const { browser } = await signIn(config, await makePerson(stage.postern));
    await browser.open(`${stage.url}/account/sign-out`, { form: {} });
    const another = await makePerson(stage.postern);
    const { page } = await ask(config, another, { browser });
    assert.ok(!isBack(page) && page.text.includes(another.email));
  });

  it('can be refused: the client is told so, with state and issuer, and the next time it is asked for again', async () => {
    const config = await newClient();
    const person = await makePerson(stage.postern);
    const { page, browser, flow } = await ask(config, person);
    const back = await send(browser, page, '/oauth/interaction', { decision: 'deny' });
    assert.equal(await outcomeOf(exchange(config, flow, back.url)), 'access_denied');
    const { searchParams } = new URL(back.url);
    assert.deepEqual([searchParams.get('state'), searchParams.get('iss')], [flow.state, stage.url]);
    assert.ok(!isBack((await ask(config, person, { browser })).page));
  });

  it('is not asked for by the client of the operator itself', async () => {
    const config = await newClient({ skip_consent: true });
    const { page, flow } = await ask(config, await makePerson(stage.postern));
    const tokens = await exchange(config, flow, page.url);
    assert.equal(tokens.refresh_token, undefined);
    const again = await ask(config, await makePerson(stage.postern), offline);
    assert.ok(!isBack(again.page), 'but where it says that it wants it');
  });

  it('is listed and taken back by the API: the tokens end, and the next time it is asked for again', async () => {
    const config = await newClient({ client_name: 'Wiki', client_uri: 'https://wiki.example' });
    const { client_id } = config.clientMetadata();
    const person = await makePerson(stage.postern);
    const { tokens, browser } = await signIn(config, person, { parameters: offline });
    const { token } = person;
    const list = async () => (await stage.postern.call('GET', '/auth/consents', { token })).body.data;
    const [{ scope, given_at, ...told }] = await list();
    assert.deepEqual(told, {
      client_id,
      client_name: 'Wiki',
      client_uri: 'https://wiki.example',
      claims: [],
      resources: [stage.url],
    });
    assert.deepEqual(scope.split(' ').sort(), ['email', 'offline_access', 'openid', 'profile']);
    assert.ok(Date.parse(given_at) > 0);

    const withdraw = () => stage.postern.call('DELETE', `/auth/consents/${client_id}`, { token });
    assert.equal((await withdraw()).status, 204);
    assert.equal(await outcomeOf(refresh(config, tokens.refresh_token)), 'invalid_grant');
    await hasEnded(config, tokens.access_token);
    assert.equal(await outcomeOf(client.fetchUserInfo(config, tokens.access_token, person.uuid)), 'invalid_token');
    assert.deepEqual(await list(), []);
    assert.equal((await withdraw()).body.code, 'consents.not_found');
    assert.ok(!isBack((await ask(config, person, { browser })).page));
  });

  it('is listed and taken back on the page of the account', async () => {
    const config = await newClient({ client_name: 'Wiki' });
    const person = await makePerson(stage.postern);
    const { tokens, browser } = await signIn(config, person);
    const account = await browser.open(`${stage.url}/account`);
    assert.match(account.text, /Applications you have let in.*Wiki.*see your e-mail address/s);
    const { text } = await send(browser, account, '/account/applications/withdraw');
    assert.match(text, /role="status">It is taken back/);
    assert.ok(!text.includes('Wiki'));
    await hasEnded(config, tokens.access_token);
  });

  it('ends with the client', async () => {
    const [config, witness] = [await newClient(), await newClient()];
    const { client_id } = config.clientMetadata();
    const person = await makePerson(stage.postern);
    const { tokens } = await signIn(config, person, { parameters: offline });
    assert.equal((await stage.postern.call('DELETE', `/clients/${client_id}`, { token: stage.admin })).status, 204);
    await hasEnded(witness, tokens.access_token);
    await waitFor(async () => (await outcomeOf(refresh(config, tokens.refresh_token))) === 'invalid_client', {
      what: 'the client to be forgotten',
    });
    assert.deepEqual((await stage.postern.call('GET', '/auth/consents', person)).body.data, []);
  });

  it('gives rights that the user has now, not those they had when they said yes', async () => {
    const { postern, admin } = stage;
    const config = await newClient();
    const person = await makePerson(postern);
    const role = { token: admin, json: { scopes: ['users:read'] } };
    assert.equal((await postern.call('PUT', '/roles/auditor', role)).status, 201);
    const path = `/users/${person.uuid}/roles/auditor`;
    const users = async (token: string) => (await postern.call('GET', '/users', { token })).status;
    const give = async () => assert.equal((await postern.call('PUT', path, { token: admin })).status, 204);
    await give();
    const scope = `${offline.scope} users:read`;
    const { tokens } = await signIn(config, person, { parameters: { ...offline, scope } });
    assert.deepEqual([tokens.scope?.includes('users:read'), await users(tokens.access_token)], [true, 200]);

    assert.equal((await postern.call('DELETE', path, { token: admin })).status, 204);
    await waitFor(async () => (await users(tokens.access_token)) === 401, { what: 'the token to end' });
    const without = await refresh(config, tokens.refresh_token);
    assert.deepEqual([without.scope?.includes('users:read'), await users(without.access_token)], [false, 403]);
    await give();
    const again = await refresh(config, without.refresh_token);
    assert.deepEqual([again.scope?.includes('users:read'), await users(again.access_token)], [true, 200]);
  });
});

describe('signing out', () => {
  const bye = 'http://127.0.0.1:5999/bye';
  let stage: Stage;
  let config: client.Configuration;
  let other: client.Configuration;
  before(async () => {
    stage = await openStage();
    const metadata = { post_logout_redirect_uris: [bye], client_name: 'Wiki' };
    config = await discover(stage.postern, await registerClient(stage, metadata));
    other = await discover(stage.postern, await registerClient(stage));
  });
  after(() => stage.close());

  async function signedIn() {
    const person = await makePerson(stage.postern);
    const { tokens, browser } = await signIn(config, person);
    const elsewhere = await signIn(other, person, { browser });
    return { person, browser, tokens, elsewhere: elsewhere.tokens };
  }
  const leave = (parameters: Record<string, string>) => client.buildEndSessionUrl(config, parameters).href;
  const isIn = async (browser: Browser) => (await browser.open(`${stage.url}/account`)).url.endsWith('/account');

  it('on the page of the account ends what was bound to that session, at every client, and nothing else', async () => {
    const { person, tokens, browser, elsewhere } = await signedIn();
    const another = await signIn(config, person);
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, true);
    await browser.open(`${stage.url}/account/sign-out`, { form: {} });
    await hasEnded(config, tokens.access_token);
    await hasEnded(other, elsewhere.access_token);
    assert.equal((await client.tokenIntrospection(config, another.tokens.access_token)).active, true);
  });

  it('from a client asks the user, ends the session everywhere and goes back with state', async () => {
    const { tokens, browser, elsewhere } = await signedIn();
    const hint = { id_token_hint: tokens.id_token ?? '', post_logout_redirect_uri: bye, state: 'a b&c' };
    const page = await browser.open(leave(hint));
    assert.match(page.text, /Wiki/);
    assert.ok(await isIn(browser), 'the page itself does nothing');
    const back = await send(browser, page, '/oauth/logout', { logout: 'yes', until: bye });
    assert.equal(back.url, `${bye}?state=a+b%26c`);
    assert.ok(!(await isIn(browser)));
    await hasEnded(config, tokens.access_token);
    await hasEnded(other, elsewhere.access_token);
    const { url } = await begin(config, { prompt: 'none' });
    assert.match((await browser.open(url.href, { until: redirectUri })).url, /error=login_required/);
  });

  it('goes back as well where the client names itself alone, and to nowhere where nobody is named', async () => {
    const named = await signedIn();
    const page = await named.browser.open(leave({ post_logout_redirect_uri: bye }));
    const back = await send(named.browser, page, '/oauth/logout', { logout: 'yes', until: bye });
    assert.equal(back.url, bye);
    const { browser, tokens } = await signedIn();
    const nobody = await browser.open(`${stage.url}/oauth/logout?post_logout_redirect_uri=${bye}&state=x`);
    const done = await send(browser, nobody, '/oauth/logout', { logout: 'yes', until: bye });
    assert.equal(done.url, `${stage.url}/oauth/logout/success`);
    assert.match(done.text, /signed out/i);
    await hasEnded(config, tokens.access_token);
  });

  it('can be thought better of: the session and its tokens go on, and the browser goes back all the same', async () => {
    const { browser, tokens } = await signedIn();
    const page = await browser.open(leave({ post_logout_redirect_uri: bye, state: 'x' }));
    const back = await send(browser, page, '/oauth/logout', { until: bye });
    assert.equal(back.url, `${bye}?state=x`);
    assert.ok(await isIn(browser));
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, true);
  });

  it('asks by a form as well, and refuses addresses and hints that are none', async () => {
    const { browser, tokens } = await signedIn();
    const form = { id_token_hint: tokens.id_token ?? '', post_logout_redirect_uri: bye };
    const page = await browser.open(`${stage.url}/oauth/logout`, { form, origin: 'https://wiki.example' });
    assert.match(page.text, /Wiki/);
    for (const parameters of [
      { ...form, post_logout_redirect_uri: `${bye}/2` },
      { ...form, id_token_hint: 'none' },
    ]) {
      const fault = await browser.open(leave(parameters));
      assert.deepEqual([fault.status, await isIn(browser)], [400, true], fault.text);
    }
  });

  it('is done at once where nobody is signed in', async () => {
    const browser = openBrowser();
    const back = await browser.open(leave({ post_logout_redirect_uri: bye, state: 'x' }), { until: bye });
    assert.equal(back.url, `${bye}?state=x`);
    const nowhere = await browser.open(`${stage.url}/oauth/logout?post_logout_redirect_uri=${bye}`);
    assert.equal(nowhere.url, `${stage.url}/oauth/logout/success`);
    assert.match(nowhere.text, /signed out/i);
  });

  it('by the password ends it as well: whoever changes it in one browser keeps that one alone', async () => {
    const { person, tokens, browser } = await signedIn();
    const another = await signIn(config, person);
    const page = await browser.open(`${stage.url}/account`);
    const given = { current_password: password, new_password: 'Another@123' };
    assert.match((await send(browser, page, '/account/password', given)).text, /role="status"/);
    await hasEnded(config, another.tokens.access_token);
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, true);
  });
});
