/** Every kind of client: how it proves who it is, what its tokens are bound to, and what changes under its feet. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from 'jose';
import * as client from 'openid-client';
import { openBrowser } from '../support/browser.ts';
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
  redirectUri,
  registerClient,
  type Stage,
  signIn,
} from '../support/relying-party.ts';
import { waitFor } from '../support/wait-for.ts';
import { startReceiver } from '../support/webhook-receiver.ts';

const offline = { scope: 'openid profile email offline_access basic', prompt: 'consent' };

describe('clients of every kind', () => {
  let stage: Stage;
  let ann: Person;
  before(async () => {
    stage = await openStage({ OAUTH_REGISTRATION: 'on' });
    ann = await makePerson(stage.postern);
  });
  after(() => stage.close());

  const newClient = async (metadata: object = {}, authentication?: client.ClientAuth) =>
    discover(stage.postern, await registerClient(stage, metadata), authentication);
  /** A request that is left at the server before the browser is sent there. */
  async function push(
    config: client.Configuration,
    parameters: Record<string, string> = {},
    options?: client.DPoPOptions,
  ) {
    const flow = await begin(config, parameters);
    const pushed = Object.fromEntries(flow.url.searchParams);
    return { ...flow, url: await client.buildAuthorizationUrlWithPAR(config, pushed, options) };
  }

  it('may push their requests first, and some must; each pushed one is good once', async () => {
    for (const metadata of [{}, { require_pushed_authorization_requests: true }]) {
      const config = await newClient(metadata);
      const flow = await push(config, { scope: 'openid email' });
      assert.deepEqual([...flow.url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
      const browser = openBrowser();
      const back = await follow(browser, flow.url.href, ann);
      const tokens = await exchange(config, flow, back.url);
      assert.equal(tokens.claims()?.email, ann.email);
      const again = await browser.open(flow.url.href, { until: redirectUri });
      assert.match(again.url + again.text, /invalid_request_uri/);
      const plain = await begin(config);
      const direct = await follow(browser, plain.url.href, ann);
      const outcome = await outcomeOf(exchange(config, plain, direct.url));
      assert.equal(outcome, 'require_pushed_authorization_requests' in metadata ? 'invalid_request' : 'done');
    }
  });

  it('must prove who they are to push, and hear at once of what is wrong with a request', async () => {
    const config = await newClient();
    const impostor = await discover(stage.postern, { ...config.clientMetadata(), client_secret: 'wrong' });
    assert.equal(await outcomeOf(push(impostor)), 'invalid_client');
    const elsewhere = push(config, { redirect_uri: 'https://evil.example' });
    assert.match(await outcomeOf(elsewhere), /invalid_(request|redirect_uri)/);
    const late = await push(config);
    await stage.db`UPDATE oauth_artifacts SET expires_at = now() WHERE kind = 'PushedAuthorizationRequest'`;
    const page = await openBrowser().open(late.url.href, { until: redirectUri });
    assert.match(page.url + page.text, /invalid_request_uri/);
  });

  it('may bind their tokens to a key (DPoP): no token works without a proof of it', async () => {
    for (const metadata of [{}, { dpop_bound_access_tokens: true }]) {
      const config = await newClient(metadata);
      const options = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) };
      const flow = await push(config, offline, options);
      const back = await follow(openBrowser(), flow.url.href, ann);
      assert.equal(await outcomeOf(exchange(config, flow, back.url)), 'invalid_grant', 'the code is bound as well');
      const retry = await push(config, offline, options);
      const tokens = await exchange(config, retry, (await follow(openBrowser(), retry.url.href, ann)).url, options);
      assert.equal(tokens.token_type, 'dpop');
      const told = await client.fetchUserInfo(config, tokens.access_token, ann.uuid, options);
      assert.equal(told.email, ann.email);
      const me = new URL('/auth/me', stage.url);
      const get = (token: string, more?: client.DPoPOptions) =>
        client.fetchProtectedResource(config, token, me, 'GET', null, undefined, more);
      assert.equal((await get(tokens.access_token, options)).status, 200);
      assert.equal(await outcomeOf(get(tokens.access_token)), 'invalid_token', 'as Bearer');
      assert.equal(await outcomeOf(client.fetchUserInfo(config, tokens.access_token, ann.uuid)), 'invalid_token');
      const others = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) };
      assert.match(await outcomeOf(get(tokens.access_token, others)), /invalid_(token|dpop_proof)/);

      const next = await client.refreshTokenGrant(config, tokens.refresh_token ?? '', {}, options);
      assert.equal(next.token_type, 'dpop');
      assert.equal((await get(next.access_token, options)).status, 200);
      const introspected = await client.tokenIntrospection(config, next.access_token);
      assert.deepEqual(introspected.cnf, { jkt: await options.DPoP.calculateThumbprint() });
      const unproven = await outcomeOf(client.refreshTokenGrant(config, next.refresh_token ?? ''));
      const isBoundAlways = 'dpop_bound_access_tokens' in metadata;
      // The refresh token of a client with a secret is bound to that (RFC 9449 §5).
      assert.equal(unproven, isBoundAlways ? 'invalid_grant' : 'done');
    }
  });

  it('may be public: their refresh tokens are bound to the key with which they came', async () => {
    const config = await newClient({ token_endpoint_auth_method: 'none' });
    const options = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) };
    const { tokens } = await signIn(config, ann, { parameters: offline, options });
    const refresh = (token: string | undefined, more?: client.DPoPOptions) =>
      outcomeOf(client.refreshTokenGrant(config, token ?? '', {}, more));
    const others = { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) };
    assert.equal(await refresh(tokens.refresh_token), 'invalid_grant');
    assert.equal(await refresh(tokens.refresh_token, others), 'invalid_grant');
    assert.equal(await refresh(tokens.refresh_token, options), 'done', 'and wrong proofs use nothing up');
  });

  it('may sign who they are (private_key_jwt), by keys that are registered or at an address of theirs', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one' };
    const receiver = await startReceiver((_call, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
    });
    try {
      for (const keys of [{ jwks: { keys: [jwk] } }, { jwks_uri: `${receiver.url}/keys` }]) {
        const metadata = { token_endpoint_auth_method: 'private_key_jwt', ...keys };
        const key = { key: privateKey, kid: 'one' };
        const config = await newClient(metadata, client.PrivateKeyJwt(key));
        const flow = await push(config, offline);
        const back = await follow(openBrowser(), flow.url.href, ann);
        const tokens = await exchange(config, flow, back.url);
        const next = await client.refreshTokenGrant(config, tokens.refresh_token ?? '');
        assert.equal((await client.tokenIntrospection(config, next.access_token)).active, true);
        await client.tokenRevocation(config, next.refresh_token ?? '');
        await hasEnded(config, next.access_token);

        const { privateKey: foreign } = await generateKeyPair('ES256');
        const { client_id } = config.clientMetadata();
        const impostor = await discover(
          stage.postern,
          { client_id },
          client.PrivateKeyJwt({ key: foreign, kid: 'one' }),
        );
        assert.equal(await outcomeOf(push(impostor)), 'invalid_client');
        assert.equal(await outcomeOf(exchange(impostor, flow, back.url)), 'invalid_client');
      }
    } finally {
      await receiver.close();
    }
  });

  it('may be native and public: back to whichever port of loopback they have, with the consent asked each time', async () => {
    const config = await newClient({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback', 'com.example.app:/callback'],
    });
    for (const redirect_uri of ['http://127.0.0.1:61234/callback', 'com.example.app:/callback']) {
      const flow = await begin(config, { ...offline, redirect_uri });
      const browser = openBrowser();
      const back = await follow(browser, flow.url.href, ann, { until: redirect_uri });
      const tokens = await exchange(config, flow, back.url);
      assert.equal((await client.refreshTokenGrant(config, tokens.refresh_token ?? '')).claims()?.sub, ann.uuid);
      const silent = await begin(config, { scope: 'openid', prompt: 'none', redirect_uri });
      const refused = await browser.open(silent.url.href, { until: redirect_uri });
      assert.equal(await outcomeOf(exchange(config, silent, refused.url)), 'interaction_required');
    }
    const astray = await begin(config, { redirect_uri: 'http://127.0.0.1:61234/elsewhere' });
    assert.equal((await openBrowser().open(astray.url.href)).status, 400);
  });

  it('get another secret in the midst of a flow, beside which the former one is good for a while', async () => {
    const config = await newClient();
    const { client_id } = config.clientMetadata();
    const rotate = async (json: object) =>
      (await stage.postern.call('POST', `/clients/${client_id}/secret`, { token: stage.admin, json })).body;
    const flow = await begin(config, offline);
    const back = await follow(openBrowser(), flow.url.href, ann);
    const { client_secret } = await rotate({ overlap_seconds: 600 });
    const tokens = await exchange(config, flow, back.url);
    const renewed = await discover(stage.postern, { client_id, client_secret });
    // A node remembers for a second what it knows of a client.
    await waitFor(async () => (await outcomeOf(client.tokenIntrospection(renewed, tokens.access_token))) === 'done', {
      what: 'the new secret to be good',
    });
    const next = await client.refreshTokenGrant(renewed, tokens.refresh_token ?? '');
    await stage.db`UPDATE clients SET former_secret_until = now() WHERE client_id = ${client_id}`;
    const refresh = (party: client.Configuration) =>
      outcomeOf(client.refreshTokenGrant(party, next.refresh_token ?? ''));
    await waitFor(async () => (await refresh(config)) === 'invalid_client', { what: 'the former secret to end' });
    assert.equal(await refresh(renewed), 'done');
    await rotate({});
    await waitFor(async () => (await refresh(renewed)) === 'invalid_client', { what: 'the secret to end' });
  });

  it('may register themselves with a token that says so, and sign users in then', async () => {
    const made = await stage.postern.cli(
      'keys',
      'create',
      '--name',
      'registrar',
      '--scope',
      'clients:register',
      '--json',
    );
    const initialAccessToken = JSON.parse(made.stdout).key;
    const register = (metadata: object, more: object = { initialAccessToken }) =>
      client.dynamicClientRegistration(new URL(stage.url), metadata, undefined, {
        execute: [client.allowInsecureRequests],
        ...more,
      });
    const metadata = {
      client_name: 'Itself',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
    };
    const config = await register(metadata);
    const { client_id, client_secret, client_name } = config.clientMetadata();
    assert.ok(client_id && client_secret && client_name === 'Itself');
    const { tokens } = await signIn(config, ann, { parameters: offline });
    assert.equal((await client.refreshTokenGrant(config, tokens.refresh_token ?? '')).claims()?.email, ann.email);

    assert.equal(await outcomeOf(register({ redirect_uris: ['http://app.example'] })), 'invalid_redirect_uri');
    assert.equal(await outcomeOf(register({ ...metadata, scope: 'admin' })), 'invalid_client_metadata');
    assert.match(await outcomeOf(register(metadata, {})), /challenge/);
    assert.match(await outcomeOf(register(metadata, { initialAccessToken: ann.token })), /insufficient_scope/);
  });

  it('see the signing keys change in the midst: what was signed before stays good, and no restart is needed', async () => {
    const config = await newClient();
    client.enableNonRepudiationChecks(config);
    const { tokens, browser } = await signIn(config, ann, { parameters: offline });
    const kidsOf = (one: { access_token: string; id_token?: string }) =>
      [one.access_token, one.id_token ?? ''].map((token) => decodeProtectedHeader(token).kid);
    const under = await begin(config);
    const code = await follow(browser, under.url.href, ann);
    for (let turn = 0; turn < 2; turn++) {
      const { code: exit, stderr } = await stage.postern.cli('keys', 'rotate', '--now');
      assert.equal(exit, 0, stderr);
    }
    // The library keeps the keys that it has read for a minute, whatever it meets meanwhile: so it reads them once they are there.
    const published = async () => (await stage.postern.call('GET', '/.well-known/jwks.json')).body.keys.length;
    await waitFor(async () => (await published()) === 8, { what: 'four generations of keys to be published' });
    const after = await discover(stage.postern, { ...config.clientMetadata() } as { client_id: string });
    client.enableNonRepudiationChecks(after);
    let last = tokens.refresh_token ?? '';
    const rotated = await waitFor(
      async () => {
        const next = await client.refreshTokenGrant(after, last);
        last = next.refresh_token ?? '';
        return kidsOf(next).every((kid) => !kidsOf(tokens).includes(kid)) && next;
      },
      { what: 'the new keys to sign' },
    );
    assert.equal((await client.fetchUserInfo(after, tokens.access_token, ann.uuid)).sub, ann.uuid);
    assert.equal((await client.fetchUserInfo(after, rotated.access_token, ann.uuid)).sub, ann.uuid);
    assert.equal((await exchange(after, under, code.url)).claims()?.sub, ann.uuid, 'a flow that was under way');
    const hinted = await signIn(after, ann, {
      browser,
      parameters: { id_token_hint: tokens.id_token ?? '', prompt: 'none' },
    });
    assert.equal(decodeJwt(hinted.tokens.id_token ?? '').sub, ann.uuid, 'an old ID token says who it was');
  });
});

describe('where programs may not register themselves', () => {
  it('there is no such call, and discovery names none', async () => {
    const stage = await openStage();
    try {
      const { status } = await stage.postern.call('POST', '/oauth/register', { token: stage.admin, json: {} });
      assert.equal(status, 404);
      const config = await discover(stage.postern, await registerClient(stage));
      assert.equal(config.serverMetadata().registration_endpoint, undefined);
    } finally {
      await stage.close();
    }
  });
});
