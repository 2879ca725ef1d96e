/** The ways in which requests and answers of OAuth may travel, and for whom tokens are. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { openBrowser } from '../support/browser.ts';
import {
  begin,
  discover,
  exchange,
  fieldsIn,
  follow,
  makePerson,
  openStage,
  outcomeOf,
  type Person,
  redirectUri,
  registerClient,
  type Stage,
  signIn,
} from '../support/relying-party.ts';

const api = 'https://api.example/v1';
const other = 'urn:example:other';

describe('requests and answers', () => {
  let stage: Stage;
  let config: client.Configuration;
  let ann: Person;
  before(async () => {
    stage = await openStage();
    config = await discover(stage.postern, await registerClient(stage));
    ann = await makePerson(stage.postern);
  });
  after(() => stage.close());

  const offline = { scope: 'openid profile email offline_access', prompt: 'consent' };

  it('may begin with a form of another site, or at the short address', async () => {
    const flow = await begin(config);
    const form = Object.fromEntries(flow.url.searchParams);
    const browser = openBrowser();
    const page = await browser.open(`${stage.url}/oauth/authorize`, { form, origin: 'https://app.example' });
    const back = await follow(browser, page.url, ann);
    assert.equal((await exchange(config, flow, back.url)).claims()?.sub, ann.uuid);
    const short = await begin(config);
    const end = await follow(browser, short.url.href.replace('/oauth/authorize', '/authorize'), ann);
    assert.equal((await exchange(config, short, end.url)).claims()?.sub, ann.uuid);
  });

  it('may come back in a fragment', async () => {
    const { browser } = await signIn(config, ann);
    const flow = await begin(config, { response_mode: 'fragment' });
    const { url } = await browser.open(flow.url.href, { until: redirectUri });
    assert.match(url, /^[^?]*#/);
    const back = url.replace('#', '?');
    assert.equal((await exchange(config, flow, back)).claims()?.sub, ann.uuid);
  });

  it('may come back as a form, which a browser sends with a script that the policy lets run, or by a button', async () => {
    const { browser } = await signIn(config, ann);
    for (const [prompt, expected] of [
      ['none', 'done'],
      ['none', 'consent_required'],
    ] as const) {
      const scope = expected === 'done' ? 'openid' : 'openid basic';
      const flow = await begin(config, { response_mode: 'form_post', prompt, scope });
      const page = await browser.open(flow.url.href, { until: redirectUri });
      const { text, headers } = page;
      assert.match(text, new RegExp(`<form method="post" action="${redirectUri}">.*<button`, 's'));
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(policy, /script-src 'self' 'sha256-[^']+'/);
      assert.ok(!policy.includes('form-action'), 'it ends at the address of the client');
      const body = new URLSearchParams(fieldsIn(text));
      const request = new Request(redirectUri, { method: 'POST', body });
      const { verifier: pkceCodeVerifier, state: expectedState, nonce: expectedNonce } = flow;
      const checks = { pkceCodeVerifier, expectedState, expectedNonce };
      assert.equal(await outcomeOf(client.authorizationCodeGrant(config, request, checks)), expected);
    }
  });

  it('at the token endpoint may be JSON, by either of its names', async () => {
    const { client_id, client_secret } = config.clientMetadata();
    for (const path of ['/oauth/token', '/authorize']) {
      const flow = await begin(config, offline);
      const back = await follow(openBrowser(), flow.url.href, ann);
      const code = new URL(back.url).searchParams.get('code');
      const json = { grant_type: 'authorization_code', client_id, client_secret, redirect_uri: redirectUri };
      const first = await stage.postern.call('POST', path, { json: { ...json, code, code_verifier: flow.verifier } });
      assert.equal(first.status, 200, first.text);
      assert.equal(first.headers.get('cache-control'), 'no-store');
      const { refresh_token, id_token } = first.body;
      assert.ok(id_token);
      const again = { grant_type: 'refresh_token', refresh_token, client_id, client_secret };
      const second = await stage.postern.call('POST', path, { json: again });
      assert.deepEqual([second.status, second.body.token_type], [200, 'Bearer'], second.text);
      const wrong = await stage.postern.call('POST', path, { json: { ...again, client_secret: 'wrong' } });
      assert.deepEqual([wrong.status, wrong.body.error], [401, 'invalid_client']);
    }
  });

  it('at the token endpoint, at userinfo and discovery may come from pages of other sites, without cookies', async () => {
    const headers = { origin: 'https://spa.example' };
    for (const path of ['/oauth/token', '/oauth/userinfo', '/oauth/revoke', '/.well-known/openid-configuration']) {
      const method = path.startsWith('/.well') ? 'GET' : 'POST';
      const asked = { ...headers, 'access-control-request-method': method };
      const allowed = await stage.postern.call('OPTIONS', path, {
        headers: { ...asked, 'access-control-request-headers': 'authorization, content-type, dpop' },
      });
      assert.ok(allowed.status < 300, `${path} ${allowed.status}`);
      for (const name of ['authorization', 'content-type', 'dpop']) {
        assert.ok(allowed.headers.get('access-control-allow-headers')?.toLowerCase().includes(name), `${path} ${name}`);
      }
      const reply = await stage.postern.call(method, path, { headers });
      for (const one of [allowed, reply]) {
        assert.deepEqual(
          ['origin', 'credentials'].map((name) => one.headers.get(`access-control-allow-${name}`)),
          ['*', null],
          path,
        );
      }
    }
  });

  it('are refused where they ask for what is not offered', async () => {
    const { browser } = await signIn(config, ann);
    for (const [parameters, error] of [
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ response_type: 'code id_token' }, 'unsupported_response_type'],
      [{ request: 'x.y.z' }, 'request_not_supported'],
      [{ request_uri: 'https://app.example/request' }, 'request_uri_not_supported'],
    ] as const) {
      const { url } = await begin(config, parameters);
      const page = await browser.open(url.href, { until: redirectUri });
      assert.ok(page.url.includes(`error=${error}`) || page.text.includes(error), `${error}: ${page.url} ${page.text}`);
    }
  });
});

describe('tokens for resource servers', () => {
  let stage: Stage;
  let config: client.Configuration;
  let ann: Person;
  before(async () => {
    stage = await openStage();
    const metadata = { resources: [api, other], scope: 'openid email offline_access basic orders:read' };
    config = await discover(stage.postern, await registerClient(stage, metadata));
    ann = await makePerson(stage.postern);
  });
  after(() => stage.close());

  const offline = { scope: 'openid offline_access orders:read', prompt: 'consent' };
  const verified = async (token: string, audience: string) => {
    const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri ?? ''));
    return (await jwtVerify(token, keys, { issuer: stage.url, audience, typ: 'at+jwt' })).payload;
  };

  it('are for the one that was asked for, with its scopes, also after a refresh, and no good at Postern itself', async () => {
    const { tokens } = await signIn(config, ann, { parameters: { ...offline, resource: api } });
    const next = await client.refreshTokenGrant(config, tokens.refresh_token ?? '');
    for (const { access_token } of [tokens, next]) {
      const { aud, scope, sub } = await verified(access_token, api);
      assert.deepEqual([aud, scope, sub], [api, 'orders:read', ann.uuid]);
      assert.equal((await stage.postern.call('GET', '/auth/me', { token: access_token })).status, 401);
      assert.equal(await outcomeOf(client.fetchUserInfo(config, access_token, ann.uuid)), 'invalid_token');
      const told = await client.tokenIntrospection(config, access_token);
      assert.deepEqual([told.active, told.aud], [true, api]);
    }
    assert.equal(tokens.claims()?.sub, ann.uuid, 'beside an ID token as ever');
  });

  it('are one for each, of those that the user has let it have', async () => {
    const flow = await begin(config, offline);
    flow.url.searchParams.append('resource', api);
    flow.url.searchParams.append('resource', other);
    const browser = openBrowser();
    const asked = await follow(browser, flow.url.href, ann, { decision: 'think' });
    assert.ok(asked.text.includes(`act for you at ${api}`) && asked.text.includes(other), asked.text);
    const back = await follow(browser, asked.url, ann);
    const checks = { pkceCodeVerifier: flow.verifier, expectedState: flow.state, expectedNonce: flow.nonce };
    const tokens = await client.authorizationCodeGrant(config, new URL(back.url), checks, { resource: other });
    await verified(tokens.access_token, other);
    const next = await client.refreshTokenGrant(config, tokens.refresh_token ?? '', { resource: api });
    await verified(next.access_token, api);
    const foreign = client.refreshTokenGrant(config, next.refresh_token ?? '', { resource: 'https://else.example' });
    assert.equal(await outcomeOf(foreign), 'invalid_target');
  });

  it('are for none that the client is not registered for, or that the user was not asked about', async () => {
    const { url } = await begin(config, { scope: 'openid', resource: 'https://else.example' });
    const page = await openBrowser().open(url.href, { until: redirectUri });
    assert.match(page.url, /error=invalid_target/);
    const { tokens } = await signIn(config, await makePerson(stage.postern), {
      parameters: { scope: 'openid offline_access basic', prompt: 'consent' },
    });
    const sneaky = client.refreshTokenGrant(config, tokens.refresh_token ?? '', { resource: api });
    assert.equal(await outcomeOf(sneaky), 'invalid_target');
  });

  it('are asked about for each: what is allowed at one is not allowed at another', async () => {
    const metadata = { resources: [api, other], scope: 'openid orders:read orders:write' };
    const shop = await discover(stage.postern, await registerClient(stage, metadata));
    const bob = await makePerson(stage.postern);
    const browser = openBrowser();
    const ask = (scope: string, resource: string) =>
      signIn(shop, bob, { browser, parameters: { scope: `openid ${scope}`, resource } });
    await ask('orders:write', api);
    await ask('orders:read', other);
    const { url } = await begin(shop, { scope: 'openid orders:write', resource: other, prompt: 'none' });
    assert.match((await browser.open(url.href, { until: redirectUri })).url, /error=consent_required/);
    const again = await begin(shop, { scope: 'openid orders:write', resource: api, prompt: 'none' });
    assert.match((await browser.open(again.url.href, { until: redirectUri })).url, /code=/);
  });
});
