/** However somebody signs in, the browser comes back to the client that sent it; and to no client of another tenant. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as client from 'openid-client';
import { openDevice } from '../support/authenticator.ts';
import { type Browser, openBrowser, type Page } from '../support/browser.ts';
import { freePorts } from '../support/free-ports.ts';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { clientId, clientSecret, type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import {
  begin,
  discover,
  exchange,
  type Flow,
  follow,
  makeClient,
  makePerson,
  makePersonWithApp,
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

const isLogIn = ({ text }: InboxMessage) => text.includes('/auth/otp/verify?token=');

describe('a browser that a client has sent', () => {
  let stage: Stage;
  let config: client.Configuration;
  let google: OpenIdProvider;
  before(async () => {
    const [port = 0] = await freePorts(1);
    google = await startOpenIdProvider(`http://localhost:${port}/auth/callback`);
    stage = await openStage({
      PORT: String(port),
      GOOGLE_CLIENT_ID: clientId,
      GOOGLE_CLIENT_SECRET: clientSecret,
      GOOGLE_ISSUER: google.issuer,
    });
    config = await discover(stage.postern, await registerClient(stage));
  });
  after(async () => {
    await stage.close();
    await google.close();
  });

  async function sent(parameters: Record<string, string> = {}) {
    const browser = openBrowser();
    const flow = await begin(config, parameters);
    const page = await browser.open(flow.url.href);
    assert.equal(new URL(page.url).pathname, '/sign-in');
    return { browser, flow, page };
  }
  const linkIn = ({ text, url }: Page, to: string) => {
    const href = new RegExp(`href="(${to}[^"]*)"`).exec(text)?.[1]?.replaceAll('&amp;', '&');
    return new URL(href ?? assert.fail(`no link to ${to}:\n${text}`), url).href;
  };
  /** From the page of the consent on. */
  async function arrives({ browser, flow }: { browser: Browser; flow: Flow }, page: Page) {
    assert.equal(page.url.startsWith(`${stage.url}/oauth/interaction/`), true, `${page.url}\n${page.text}`);
    const back = await send(browser, page, '/oauth/interaction', { decision: 'allow' });
    return (await exchange(config, flow, back.url)).claims() ?? assert.fail();
  }

  it('comes back by the code of a letter', async () => {
    const { email, uuid } = await makePerson(stage.postern);
    const { browser, flow, page } = await sent();
    const ask = await browser.open(linkIn(page, '/sign-in/letter'));
    const asked = await send(browser, ask, '/sign-in/letter', { email });
    const { code } = proofIn(await letterTo(stage.postern, email, isLogIn));
    const claims = await arrives({ browser, flow }, await send(browser, asked, '/sign-in/code', { code }));
    assert.deepEqual([claims.sub, claims.amr], [uuid, ['email']]);
  });

  it('comes back by the link of a letter, if it is opened there', async () => {
    const { email, uuid } = await makePerson(stage.postern);
    const { browser, flow, page } = await sent();
    const ask = await browser.open(linkIn(page, '/sign-in/letter'));
    await send(browser, ask, '/sign-in/letter', { email });
    const { link } = proofIn(await letterTo(stage.postern, email, isLogIn));
    const opened = await browser.open(link);
    assert.equal((await arrives({ browser, flow }, await send(browser, opened, '/sign-in/link'))).sub, uuid);
  });

  it('comes back by another provider, whose user is made on the way', async () => {
    google.person = { sub: 'g1', email: 'g1@google.example', email_verified: true, name: 'Greta' };
    const { browser, flow, page } = await sent();
    const claims = await arrives({ browser, flow }, await browser.open(linkIn(page, '/auth/google')));
    assert.deepEqual([claims.email, claims.email_verified, claims.name], ['g1@google.example', true, 'Greta']);
    assert.deepEqual(claims.amr, ['fed']);
  });

  it('comes back after somebody has said no to the other provider, and signs in otherwise', async () => {
    google.person = undefined;
    const { browser, flow, page } = await sent();
    const refused = await browser.open(linkIn(page, '/auth/google'));
    assert.equal(new URL(refused.url).pathname, '/sign-in');
    const { email, uuid } = await makePerson(stage.postern);
    const claims = await arrives({ browser, flow }, await send(browser, refused, '/sign-in', { email, password }));
    assert.equal(claims.sub, uuid);
  });

  it('comes back by signing up', async () => {
    const { browser, flow, page } = await sent();
    const email = 'new@oauth.example';
    const form = await browser.open(linkIn(page, '/sign-up'));
    const claims = await arrives({ browser, flow }, await send(browser, form, '/sign-up', { email, password }));
    assert.deepEqual([claims.email, claims.email_verified], [email, false]);
  });

  it('comes back after wrong passwords, and by the second factor, and no sooner', async () => {
    const person = await makePersonWithApp(stage);
    const { email, code = assert.fail } = person;
    const { browser, flow, page } = await sent();
    const wrong = await send(browser, page, '/sign-in', { email, password: 'wrong' });
    assert.equal(wrong.status, 401);
    const half = await send(browser, wrong, '/sign-in', { email, password });
    assert.equal(new URL(half.url).pathname, '/sign-in/second-factor');
    const early = await browser.open(flow.url.href);
    assert.equal(new URL(early.url).pathname, '/sign-in', 'half a sign-in is none');
    const claims = await arrives(
      { browser, flow },
      await browser.open(`${stage.url}/sign-in/second-factor`, { form: { code: await code() } }),
    );
    assert.deepEqual([claims.sub, claims.acr], [person.uuid, 'aal2']);
  });

  it('comes back by a passkey', async () => {
    const person = await makePerson(stage.postern);
    const device = openDevice({ origin: stage.url });
    const post = async (path: string, json: object) =>
      (await stage.postern.call('POST', path, { json, token: person.token })).body;
    const { ceremony, options } = await post('/auth/passkeys/options', {});
    await post('/auth/passkeys', { ceremony, response: device.create(options), name: 'key' });
    const { browser, flow } = await sent();
    const form = { step: 'alone' };
    const asked = JSON.parse((await browser.open(`${stage.url}/sign-in/passkey/options`, { form })).text);
    const shown = { ...form, ceremony: asked.ceremony, response: JSON.stringify(device.get(asked.options)) };
    const claims = await arrives(
      { browser, flow },
      await browser.open(`${stage.url}/sign-in/passkey`, { form: shown }),
    );
    assert.deepEqual([claims.sub, claims.acr], [person.uuid, 'aal2']);
  });

  it('may sign in with another account where it is asked for its consent', async () => {
    const [ann, bob] = [await makePerson(stage.postern), await makePerson(stage.postern)];
    const { browser, flow, page } = await sent();
    const asked = await send(browser, page, '/sign-in', { email: ann.email, password });
    assert.ok(asked.text.includes(ann.email));
    const other = await browser.open(linkIn(asked, '/sign-in'));
    const again = await send(browser, other, '/sign-in', { email: bob.email, password });
    assert.ok(again.text.includes(bob.email) && !again.text.includes(ann.email));
    const stale = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    assert.ok(stale.url.startsWith(stage.url), 'a yes of the page that Ann was shown is none of Bob');
    assert.equal((await arrives({ browser, flow }, again)).sub, bob.uuid);
    const account = await browser.open(`${stage.url}/account`);
    assert.ok(account.text.includes(bob.email), 'and he stays signed in');

    const carol = await makePerson(stage.postern);
    const next = await begin(config, { prompt: 'login consent' });
    const before = await follow(browser, next.url.href, bob, { decision: 'think' });
    const link = await browser.open(linkIn(before, '/sign-in'));
    const hers = await send(browser, link, '/sign-in', { email: carol.email, password });
    const refused = await send(browser, hers, '/oauth/interaction', { decision: 'deny' });
    assert.equal(await outcomeOf(exchange(config, next, refused.url)), 'access_denied');
  });

  it('goes on with the flow that was begun last, and with none long after', async () => {
    const { email } = await makePerson(stage.postern);
    const { browser } = await sent();
    const second = await begin(config);
    const page = await browser.open(second.url.href);
    const asked = await send(browser, page, '/sign-in', { email, password });
    assert.ok((await arrives({ browser, flow: second }, asked)).sub);
    const account = await browser.open(`${stage.url}/sign-in`, { form: { email, password } });
    assert.equal(new URL(account.url).pathname, '/account', 'whoever signs in later stays here');
  });

  it('asks anew where the user has signed out before it came back', async () => {
    for (const parameters of [{}, { scope: 'openid offline_access', prompt: 'consent' }] as Record<string, string>[]) {
      const ann = await makePerson(stage.postern);
      const { browser, flow, page } = await sent(parameters);
      const asked = await send(browser, page, '/sign-in', { email: ann.email, password });
      const until = `${stage.url}/oauth/authorize/`;
      const { url } = await send(browser, asked, '/oauth/interaction', { decision: 'allow', until });
      assert.ok(url.startsWith(until));
      await browser.open(`${stage.url}/account/sign-out`, { form: {} });
      const resumed = await browser.open(url, { until: redirectUri });
      assert.equal(new URL(resumed.url).pathname, '/sign-in', `${resumed.status} ${resumed.url}`);
      const bob = await makePerson(stage.postern);
      const back = await follow(browser, resumed.url, bob);
      assert.equal((await exchange(config, flow, back.url)).claims()?.sub, bob.uuid);
    }
  });

  it('is told where its flow is over or never was its own', async () => {
    const person = await makePerson(stage.postern);
    const { browser, flow, page } = await sent();
    const asked = await send(browser, page, '/sign-in', { email: person.email, password });
    const stolen = await openBrowser().open(asked.url);
    assert.deepEqual([stolen.status, /This sign-in is over|ended/.test(stolen.text)], [400, true], stolen.text);
    await arrives({ browser, flow }, asked);
    const late = await browser.open(asked.url);
    assert.equal(late.status, 400);
  });
});

describe('clients of two tenants', () => {
  let stage: Stage;
  let here: client.Configuration;
  let there: client.Configuration;
  before(async () => {
    stage = await openStage();
    assert.equal((await stage.postern.cli('tenants', 'create', 'elsewhere')).code, 0);
    here = await discover(stage.postern, await registerClient(stage));
    there = await discover(stage.postern, await makeClient(stage.postern, '--tenant', 'elsewhere', '--name', 'There'));
  });
  after(() => stage.close());

  /** Two users of one address, with one password. */
  async function twins(): Promise<[Person, Person]> {
    const one = await makePerson(stage.postern);
    const json = { email: one.email, password, server: 'elsewhere' };
    const { body } = await stage.postern.call('POST', '/auth/register', { json });
    return [one, { email: one.email, uuid: body.user.uuid, token: body.token.access_token }];
  }
  const tenantIn = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).tenant;

  it('have one issuer, one discovery and one set of keys', () => {
    assert.deepEqual(here.serverMetadata(), there.serverMetadata());
  });

  it('are not served by a session of the other tenant: its users sign in there, as somebody else', async () => {
    const [one, other] = await twins();
    const { browser, tokens } = await signIn(here, one);
    const silent = await begin(there, { prompt: 'none' });
    const back = await browser.open(silent.url.href, { until: redirectUri });
    assert.equal(await outcomeOf(exchange(there, silent, back.url)), 'login_required');

    const flow = await begin(there);
    const page = await browser.open(flow.url.href);
    assert.equal(page.url, `${stage.url}/sign-in?server=elsewhere`);
    const elsewhere = await signIn(there, other, { browser });
    assert.deepEqual([tokens.claims()?.sub, elsewhere.tokens.claims()?.sub], [one.uuid, other.uuid]);
    assert.deepEqual(
      [tokens, elsewhere.tokens].map(({ access_token }) => tenantIn(access_token)),
      ['default', 'elsewhere'],
    );
    assert.equal(elsewhere.tokens.claims()?.email_verified, false);
  });

  it('do not learn of tokens of each other, and cannot end them', async () => {
    const [one] = await twins();
    const parameters = { scope: 'openid offline_access', prompt: 'consent' };
    const { tokens } = await signIn(here, one, { parameters });
    for (const token of [tokens.access_token, tokens.refresh_token ?? '']) {
      assert.equal((await client.tokenIntrospection(there, token)).active, false);
      await client.tokenRevocation(there, token).catch(() => {});
      assert.equal((await client.tokenIntrospection(here, token)).active, true);
    }
    assert.equal(await outcomeOf(client.refreshTokenGrant(there, tokens.refresh_token ?? '')), 'invalid_grant');
    assert.equal((await client.tokenIntrospection(here, tokens.refresh_token ?? '')).active, true);
  });

  it('are not named to users of the other', async () => {
    const [one, other] = await twins();
    await signIn(there, other);
    const consents = await stage.postern.call('GET', '/auth/consents', { token: one.token });
    assert.deepEqual(consents.body.data, []);
    const { client_id } = there.clientMetadata();
    const path = `/auth/consents/${client_id}`;
    assert.equal((await stage.postern.call('DELETE', path, { token: one.token })).status, 404);
    assert.equal((await stage.postern.call('GET', '/auth/consents', { token: other.token })).body.data.length, 1);
  });

  it('keep to their tenant through a page of consent, whoever has signed in meanwhile', async () => {
    const [one, other] = await twins();
    const browser = openBrowser();
    const flow = await begin(there);
    const asked = await follow(browser, flow.url.href, other, { decision: 'think' });
    assert.match(asked.text, /There would like/);
    // In another tab they sign in to the other tenant.
    await openTab(browser, one);
    const page = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    assert.ok(page.url.endsWith('/sign-in?server=elsewhere'), page.url);
    const back = await follow(browser, page.url, other);
    assert.equal((await exchange(there, flow, back.url)).claims()?.sub, other.uuid);
  });

  async function openTab(browser: Browser, { email }: Person) {
    const tab = openBrowser();
    await tab.open(`${stage.url}/sign-in`, { form: { email, password } });
    for (const [host, jar] of tab.cookies) {
      for (const [name, value] of jar) browser.cookies.get(host)?.set(name, value);
    }
  }
});
