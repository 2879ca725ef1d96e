/**
 * Modules of the OpenID Foundation's plans for a basic provider and for its configuration, each by its own name and with
 * the checks of its source: those about codes, tokens, claims and metadata. docs/conformance.md has the table.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import type { Database } from '../../src/database/database.ts';
import { openDatabase } from '../../src/database/open.ts';
import { openBrowser } from '../support/browser.ts';
import {
  arrive,
  type Client,
  callToken,
  checkIdToken,
  checkResponse,
  checkTokenError,
  checkTokens,
  checkUserinfo,
  codeForm,
  endpoint,
  entropyOf,
  type Flow,
  issuer,
  makeRequest,
  type Parameters,
  type Provider,
  type RunOptions,
  register,
  runFlow,
  startProvider,
  trade,
  userinfo,
} from '../support/conformance.ts';
import { follow, makeClient } from '../support/relying-party.ts';
import { call } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

let provider: Provider;
let database: { db: Database; close: () => Promise<void> };
before(async () => {
  provider = await startProvider();
  const where = { databaseUrl: undefined, dataDir: provider.postern.dataDir };
  database = await openDatabase(where, pino({ level: 'silent' }), { max: 1, name: 'postern test' });
});
after(async () => {
  await database?.close();
  await provider?.postern.dispose();
});

const run = (parameters?: Parameters, options?: RunOptions) => runFlow(provider, provider.client, parameters, options);

/** Claims of the scopes, as userinfo says them. */
async function runForClaims(parameters: Parameters) {
  const flow = await run(parameters);
  return { ...flow, claims: checkUserinfo(await userinfo(provider, flow.tokens.access_token), flow.idToken) };
}

/** What the suite would leave untested, as the metadata says so: the request must not fail for it (Core §3.1.2.1). */
async function runUnsupported(scope: string): Promise<void> {
  const { scopes_supported: supported } = provider.metadata;
  const asked = scope.split(' ');
  assert.ok(!asked.every((one) => supported.includes(one)));
  const { claims, tokens, browser } = await runForClaims({ scope });
  const granted = asked.filter((one) => supported.includes(one));
  assert.deepEqual(tokens.scope.split(' ').sort(), granted.sort());
  // Ignored is what the user is not asked for either.
  const consent = await arrive(provider, browser, makeRequest(provider.client, { scope, prompt: 'consent' }));
  assert.match(consent.text, /name="decision"/);
  for (const one of asked) if (!granted.includes(one)) assert.ok(!consent.text.includes(`use “${one}”`), consent.text);
  for (const name of ['address', 'phone_number', 'phone_number_verified']) assert.ok(!(name in claims));
}

describe('oidcc-basic-certification-test-plan: what is answered', () => {
  it('oidcc-server', async () => {
    const { code, tokens, idToken } = await run();
    assert.ok(code.length * 8 >= 128 && entropyOf(code) * code.length > 96);
    assert.ok(tokens.expires_in > 0);
    const known = 'iss sub aud exp iat auth_time nonce acr amr azp at_hash c_hash nbf jti sid'.split(' ');
    assert.deepEqual(
      Object.keys(idToken.claims).filter((name) => !known.includes(name)),
      [],
    );
  });

  it('oidcc-idtoken-signature', async () => {
    const registered = await register(provider);
    assert.equal(registered.status, 201, registered.text);
    const { idToken } = await runFlow(provider, registered.body);
    assert.equal(idToken.header.alg, 'RS256');
    assert.ok(provider.jwks.keys.some(({ kid }) => kid === idToken.header.kid));
  });

  it('oidcc-idtoken-unsigned', async () => {
    assert.ok(!provider.metadata.id_token_signing_alg_values_supported.includes('none'));
    const refused = await register(provider, { id_token_signed_response_alg: 'none' });
    assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_client_metadata']);
  });

  it('oidcc-userinfo-get', async () => {
    const { tokens, idToken } = await run();
    checkUserinfo(await userinfo(provider, tokens.access_token), idToken);
  });

  it('oidcc-userinfo-post-header', async () => {
    const { tokens, idToken } = await run();
    checkUserinfo(await call(endpoint(provider, 'userinfo'), 'POST', { token: tokens.access_token }), idToken);
  });

  it('oidcc-userinfo-post-body', async () => {
    const { tokens, idToken } = await run();
    const form = { access_token: tokens.access_token };
    checkUserinfo(await call(endpoint(provider, 'userinfo'), 'POST', { form }), idToken);
  });

  it('oidcc-scope-profile', async () => {
    const { claims } = await runForClaims({ scope: 'openid profile' });
    assert.deepEqual(
      [claims.name, claims.preferred_username, claims.picture],
      ['Ann', 'ann', 'https://img.example/ann.png'],
    );
  });

  it('oidcc-scope-email', async () => {
    const { claims, idToken } = await runForClaims({ scope: 'openid email' });
    assert.deepEqual([claims.email, claims.email_verified], [provider.person.email, true]);
    assert.ok(!('name' in claims) && !('name' in idToken.claims));
    // The suite warns of this one: see docs/conformance.md.
    assert.equal(idToken.claims.email, provider.person.email);
  });

  it('oidcc-scope-address', () => runUnsupported('openid address'));

  it('oidcc-scope-phone', () => runUnsupported('openid phone'));

  it('oidcc-scope-all', () => runUnsupported('openid email phone address profile'));

  it('oidcc-alternate-happy-flow', async () => {
    const { parameters, verifier } = makeRequest(provider.client, { scope: 'email openid' });
    const reversed = Object.fromEntries(Object.entries(parameters).sort(([one], [other]) => (one < other ? 1 : -1)));
    const request = { parameters: reversed, verifier };
    const browser = openBrowser();
    const landed = await arrive(provider, browser, request);
    const back = await follow(browser, landed.url, provider.person);
    const { tokens, idToken } = await trade(provider, provider.client, request, back);
    const claims = checkUserinfo(await userinfo(provider, tokens.access_token), idToken);
    assert.deepEqual([claims.email, claims.email_verified], [provider.person.email, true]);
    assert.ok(!('name' in claims) && !('name' in idToken.claims));
  });

  it('oidcc-codereuse', async () => {
    const { request, code } = await run();
    const error = checkTokenError(await callToken(provider, provider.client, codeForm(request, code)));
    assert.equal(error, 'invalid_grant');
  });

  it('oidcc-codereuse-30seconds', async () => {
    const { request, code, tokens } = await run();
    await database.db`
      UPDATE oauth_artifacts SET
        consumed_at = consumed_at - interval '30 seconds', expires_at = expires_at - interval '30 seconds'
      WHERE kind = 'AuthorizationCode'`;
    const error = checkTokenError(await callToken(provider, provider.client, codeForm(request, code)));
    assert.equal(error, 'invalid_grant');
    assert.equal((await userinfo(provider, tokens.access_token)).status, 401);
  });

  it('oidcc-server-client-secret-post', async () => {
    assert.ok(provider.metadata.token_endpoint_auth_methods_supported.includes('client_secret_post'));
    const made = await makeClient(provider.postern, '--auth-method', 'client_secret_post');
    await runFlow(provider, { ...made, authMethod: 'client_secret_post' });
  });

  it('oidcc-claims-essential', async () => {
    const wanted = JSON.stringify({ userinfo: { name: { essential: true } } });
    const { claims, idToken } = await runForClaims({ claims: wanted });
    assert.equal(claims.name, 'Ann');
    assert.ok(!('name' in idToken.claims));
  });

  it('oidcc-refresh-token', async () => {
    assert.ok(provider.metadata.scopes_supported.includes('offline_access'));
    assert.ok(provider.metadata.grant_types_supported.includes('refresh_token'));
    const scope = 'openid offline_access';
    const refresh = async (of: Client, flow: Flow, form: Record<string, string>): Promise<string> => {
      const { refresh_token: token } = flow.tokens;
      assert.match(token, /^[\x20-\x7e]+$/);
      // The suite waits for a second, so that the time of the second ID token is another one.
      const { claims: before } = flow.idToken;
      await waitFor(() => Date.now() / 1_000 >= Number(before.iat) + 1, { what: 'the next second' });
      const reply = await callToken(provider, of, { grant_type: 'refresh_token', refresh_token: token, ...form });
      checkTokens(reply);
      const { access_token, id_token, refresh_token: next } = reply.body;
      assert.notEqual(access_token, flow.tokens.access_token);
      assert.ok(next.length * 8 >= 128 && entropyOf(next) * next.length > 96);
      const { nonce } = flow.request.parameters;
      const { claims } = await checkIdToken(provider, of, id_token, { nonce, accessToken: access_token });
      for (const name of ['iss', 'sub', 'aud', 'azp', 'auth_time']) assert.deepEqual(claims[name], before[name], name);
      assert.notEqual(claims.iat, before.iat);
      assert.equal((await userinfo(provider, access_token)).status, 200);
      return next;
    };
    await refresh(provider.client, await run({ scope, prompt: 'consent' }), { scope });
    const client2 = await makeClient(provider.postern, '--name', 'Conformance 2');
    const nonce = randomBytes(32).toString('base64url');
    const second = await runFlow(provider, client2, { scope, prompt: 'consent', nonce });
    const refreshToken = await refresh(client2, second, {});
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken, scope };
    assert.equal(checkTokenError(await callToken(provider, provider.client, form)), 'invalid_grant');
  });

  it('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const { request, browser } = await run();
    assert.equal(request.parameters.code_challenge_method, 'S256');
    // What the suite cannot ask for: that it is checked.
    const other = makeRequest(provider.client);
    const { code } = checkResponse(other, await arrive(provider, browser, other));
    const wrong = codeForm({ ...other, verifier: request.verifier }, code);
    assert.equal(checkTokenError(await callToken(provider, provider.client, wrong)), 'invalid_grant');
  });
});

describe('oidcc-config-certification-test-plan', () => {
  it('oidcc-discovery-endpoint-verification', async () => {
    const reply = await provider.postern.call('GET', '/.well-known/openid-configuration');
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type') ?? '', /^application\/json\b/);
    const { metadata, jwks } = provider;
    assert.equal(metadata.issuer, issuer);
    for (const [name, value] of Object.entries<unknown>(metadata)) {
      if (/_endpoint$|_uri$|_iframe$|^issuer$/.test(name))
        assert.equal(new URL(String(value)).protocol, 'https:', name);
      if (/_supported$/.test(name) && Array.isArray(value)) {
        assert.ok(value.length > 0 && value.every((one) => typeof one === 'string'), name);
        assert.equal(new Set(value).size, value.length, name);
      }
    }
    for (const name of ['authorization', 'token', 'userinfo', 'registration']) assert.ok(metadata[`${name}_endpoint`]);
    assert.ok(metadata.response_types_supported.includes('code'));
    assert.ok(metadata.subject_types_supported.includes('public'));
    assert.ok(metadata.id_token_signing_alg_values_supported.includes('RS256'));
    assert.ok(metadata.grant_types_supported.includes('authorization_code'));
    assert.ok(metadata.scopes_supported.includes('openid'));
    for (const scope of metadata.scopes_supported) assert.match(scope, /^[\x21\x23-\x5b\x5d-\x7e]+$/);
    assert.ok(metadata.claims_supported.includes('sub'));
    assert.equal(metadata.claims_parameter_supported, true);
    assert.deepEqual(Intl.getCanonicalLocales(metadata.ui_locales_supported), metadata.ui_locales_supported);
    assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
    assert.ok(jwks.keys.length > 0);
    assert.equal(new Set(jwks.keys.map(({ kid }) => kid)).size, jwks.keys.length);
    for (const key of jwks.keys) {
      assert.ok(key.kid && key.alg && key.kty !== 'oct' && !('d' in key));
      await crypto.subtle.importKey('jwk', key, algorithmOf(key), true, ['verify']);
    }
  });
});

function algorithmOf({ alg = '' }: { alg?: string }) {
  if (alg === 'RS256') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  assert.equal(alg, 'ES256');
  return { name: 'ECDSA', namedCurve: 'P-256' };
}
