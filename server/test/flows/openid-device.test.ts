/** Devices without a browser (RFC 8628): they show a code, and somebody types it in elsewhere. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as client from 'openid-client';
import { type Browser, openBrowser, type Page } from '../support/browser.ts';
import {
  discover,
  follow,
  hasEnded,
  makePerson,
  openStage,
  outcomeOf,
  type Person,
  registerClient,
  type Stage,
  send,
  signIn,
} from '../support/relying-party.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const scope = 'openid email offline_access';

describe('a device', () => {
  let stage: Stage;
  let config: client.Configuration;
  let ann: Person;
  before(async () => {
    stage = await openStage();
    config = await newDevice();
    ann = await makePerson(stage.postern);
  });
  after(() => stage.close());

  const newDevice = async (metadata: object = {}) => {
    const device = {
      ...{ grant_types: [deviceCode, 'refresh_token'], redirect_uris: [], client_name: 'Television' },
      ...{ token_endpoint_auth_method: 'none', application_type: 'native' },
    };
    return discover(stage.postern, await registerClient(stage, { ...device, ...metadata }));
  };
  const start = (parameters: Record<string, string> = {}) =>
    client.initiateDeviceAuthorization(config, { scope, ...parameters });
  /** As the library waits for the person, but for five seconds between two questions. */
  const poll = (started: client.DeviceAuthorizationResponse) =>
    client.pollDeviceAuthorizationGrant(config, { ...started, interval: 0.1 }, undefined, {
      signal: AbortSignal.timeout(30_000),
    });
  const ask = ({ device_code }: client.DeviceAuthorizationResponse) =>
    outcomeOf(client.genericGrantRequest(config, deviceCode, { device_code }));
  const typeIn = async (browser: Browser, user_code: string, page?: Page) =>
    send(browser, page ?? (await browser.open(`${stage.url}/device`)), '/device', { user_code });
  const connected = /Your device is connected/;

  it('is let in by somebody who types its code, sees whose it is, signs in and says yes, while it asks again and again', async () => {
    const started = await start();
    assert.equal(started.verification_uri, `${stage.url}/device`);
    assert.match(started.user_code, /^[B-Z]{4}-[B-Z]{4}$/);
    assert.equal(await ask(started), 'authorization_pending');
    const waiting = poll(started);
    const browser = openBrowser();
    const mine = await typeIn(browser, ` ${started.user_code.toLowerCase().replace('-', ' ')}`);
    assert.ok(mine.text.includes('Television') && mine.text.includes(started.user_code), mine.text);
    const next = await send(browser, mine, '/device', { confirm: 'yes' });
    assert.equal(new URL(next.url).pathname, '/sign-in');
    const asked = await follow(browser, next.url, ann, { decision: 'think' });
    assert.match(asked.text, /Television would like.*see your e-mail address.*while you are away/s);
    assert.equal(await ask(started), 'authorization_pending');
    const done = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    assert.match(done.text, connected);
    const tokens = await waiting;
    assert.equal(tokens.claims()?.sub, ann.uuid);
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, ann.uuid)).email, ann.email);
    await browser.open(`${stage.url}/account/sign-out`, { form: {} });
    const later = await client.refreshTokenGrant(config, tokens.refresh_token ?? '');
    assert.equal(later.claims()?.sub, ann.uuid, 'it goes on without the browser');
  });

  it('may show an address that holds the code: opening it does nothing but fill the form in', async () => {
    const started = await start();
    const { browser } = await watching();
    const page = await browser.open(started.verification_uri_complete ?? assert.fail());
    assert.ok(page.text.includes(`value="${started.user_code}"`), page.text);
    assert.equal(await ask(started), 'authorization_pending');
    const mine = await typeIn(browser, started.user_code, page);
    assert.match(mine.text, /Is this your device/);
    const asked = await send(browser, mine, '/device', { confirm: 'yes' });
    const done = await follow(browser, asked.url, ann);
    assert.match(done.text, connected);
    assert.equal((await poll(started)).claims()?.sub, ann.uuid);
  });

  it('is told no, whether at the sight of its code or of what it wants', async () => {
    const { browser } = await watching();
    const first = await start();
    const aborted = await send(browser, await typeIn(browser, first.user_code), '/device', { abort: 'yes' });
    assert.match(aborted.text, /role="status"/);
    const second = await start();
    const asked = await send(browser, await typeIn(browser, second.user_code), '/device', { confirm: 'yes' });
    const refused = await follow(browser, asked.url, ann, { decision: 'deny' });
    assert.doesNotMatch(refused.text, connected);
    assert.deepEqual([await ask(first), await ask(second)], ['access_denied', 'access_denied']);
  });

  it('gets its tokens once: the code that comes back ends them', async () => {
    const started = await start();
    const { browser } = await watching();
    const asked = await send(browser, await typeIn(browser, started.user_code), '/device', { confirm: 'yes' });
    await follow(browser, asked.url, ann);
    const tokens = await poll(started);
    assert.equal(await ask(started), 'invalid_grant');
    assert.equal(await outcomeOf(client.refreshTokenGrant(config, tokens.refresh_token ?? '')), 'invalid_grant');
  });

  it('has ten minutes', async () => {
    const started = await start();
    assert.equal(started.expires_in, 600);
    await stage.db`UPDATE oauth_artifacts SET expires_at = now() WHERE kind = 'DeviceCode'`;
    assert.equal(await ask(started), 'expired_token');
    const page = await typeIn(openBrowser(), started.user_code);
    assert.deepEqual([page.status, page.text.includes('role="alert"')], [400, true]);
  });

  it('is none to a code that nobody shows, that is used, or that somebody is at', async () => {
    const browser = openBrowser();
    const wrong = await typeIn(browser, 'BBBB-BBBB');
    assert.deepEqual([wrong.status, wrong.text.includes('role="alert"')], [400, true]);
    const started = await start();
    const asked = await send(browser, await typeIn(browser, started.user_code, wrong), '/device', { confirm: 'yes' });
    assert.equal(new URL(asked.url).pathname, '/sign-in', 'the form can be sent again');
    assert.equal((await typeIn(openBrowser(), started.user_code)).status, 400, 'by one at a time');
    assert.match((await follow(browser, asked.url, ann)).text, connected);
    assert.equal((await typeIn(openBrowser(), started.user_code)).status, 400);
  });

  it('without offline_access is let in as long as the session of the browser lasts', async () => {
    const witness = await discover(stage.postern, await registerClient(stage));
    const started = await start({ scope: 'openid email' });
    const { browser } = await watching();
    const asked = await send(browser, await typeIn(browser, started.user_code), '/device', { confirm: 'yes' });
    await follow(browser, asked.url, ann);
    const tokens = await poll(started);
    assert.equal(tokens.refresh_token, undefined);
    assert.equal((await client.tokenIntrospection(witness, tokens.access_token)).active, true);
    await browser.open(`${stage.url}/account/sign-out`, { form: {} });
    await hasEnded(witness, tokens.access_token);
  });

  it('of another kind is refused the flow, and so is one that asks for what it may not have', async () => {
    const web = await discover(stage.postern, await registerClient(stage));
    assert.equal(await outcomeOf(client.initiateDeviceAuthorization(web, { scope: 'openid' })), 'invalid_request');
    const plain = await newDevice({ scope: 'openid' });
    assert.equal(
      await outcomeOf(client.initiateDeviceAuthorization(plain, { scope: 'openid email' })),
      'invalid_scope',
    );
  });

  /** Somebody who is signed in already. */
  async function watching() {
    const web = await discover(stage.postern, await registerClient(stage));
    return signIn(web, ann);
  }
});
