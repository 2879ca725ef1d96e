/**
 * Modules of the OpenID Foundation's plan for a basic provider, each by its own name and with the checks of its source:
 * those about the authorization request and what it does to the user. docs/conformance.md has the table.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { UnsecuredJWT } from 'jose';
import pino from 'pino';
import type { Database } from '../../src/database/database.ts';
import { openDatabase } from '../../src/database/open.ts';
import { openBrowser, type Page } from '../support/browser.ts';
import {
  arrive,
  checkErrorResponse,
  type Flow,
  isBack,
  makeRequest,
  type Parameters,
  type Provider,
  type RunOptions,
  register,
  runFlow,
  startProvider,
  trade,
} from '../support/conformance.ts';
import { follow, redirectUri } from '../support/relying-party.ts';

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

/** Where the suite lets time pass: everybody has signed in that much earlier. */
async function ageSessions(seconds: number): Promise<void> {
  await database.db`UPDATE sessions SET authenticated_at = authenticated_at - make_interval(secs => ${seconds})`;
}

/** Signed in a while ago, with the ID token of then. */
async function signedInBefore(seconds: number): Promise<Flow> {
  const { browser } = await run();
  await ageSessions(seconds);
  return run({}, { browser, isSilent: true });
}

/** The second of two requests in one browser: silent, of the same user and sign-in. */
async function runAgain({ browser, idToken: { claims: before } }: Flow, parameters: Parameters): Promise<void> {
  const { idToken } = await run(parameters, { browser, isSilent: true });
  assert.equal(typeof idToken.claims.auth_time, 'number');
  assert.deepEqual([idToken.claims.sub, idToken.claims.auth_time], [before.sub, before.auth_time]);
}

/** The second of two: the user has to show again that it is them. */
async function runAnew({ browser, idToken: { claims: before } }: Flow, parameters: Parameters): Promise<void> {
  const request = makeRequest(provider.client, parameters);
  const landed = await arrive(provider, browser, request);
  assert.ok(!isBack(landed), 'the user was not asked');
  assert.match(landed.text, /<input[^>]* name="password"/);
  const back = await follow(browser, landed.url, provider.person);
  const { idToken } = await trade(provider, provider.client, request, back);
  assert.equal(typeof before.auth_time, 'number');
  assert.ok(Number(idToken.claims.auth_time) > Number(before.auth_time));
  assert.ok(Number(idToken.claims.auth_time) > Date.now() / 1_000 - 300);
}

/** A request whose parameters stand in an unsigned object; those that OAuth wants in the address as well stand there too. */
function inObject(): { outside: Record<string, string>; object: string } {
  const { parameters } = makeRequest(provider.client);
  const { state: _, nonce: __, ...outside } = parameters;
  return { outside, object: new UnsecuredJWT(parameters).encode() };
}

function languageOf({ text }: Page): string | undefined {
  return /<html lang="([^"]*)"/.exec(text)?.[1];
}

describe('oidcc-basic-certification-test-plan: what may be asked', () => {
  it('oidcc-response-type-missing', async () => {
    const request = makeRequest(provider.client, { response_type: undefined });
    const back = await arrive(provider, openBrowser(), request);
    const error = checkErrorResponse(request.parameters.state, back);
    assert.ok(['invalid_request', 'unsupported_response_type'].includes(error), error);
  });

  it('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const { idToken } = await run({ nonce: undefined });
    assert.ok(!('nonce' in idToken.claims));
  });

  it('oidcc-display-page', async () => {
    await run({ display: 'page' });
  });

  it('oidcc-display-popup', async () => {
    await run({ display: 'popup' });
  });

  it('oidcc-prompt-login', async () => {
    await runAnew(await signedInBefore(10), { prompt: 'login' });
  });

  it('oidcc-prompt-none-not-logged-in', async () => {
    const state = `${randomBytes(62).toString('hex')}-._~`;
    const back = await arrive(provider, openBrowser(), makeRequest(provider.client, { prompt: 'none', state }));
    const error = checkErrorResponse(state, back);
    const known = ['interaction_required', 'login_required', 'account_selection_required', 'consent_required'];
    assert.ok(known.includes(error), error);
  });

  it('oidcc-prompt-none-logged-in', async () => {
    await runAgain(await run(), { prompt: 'none' });
  });

  it('oidcc-max-age-1', async () => {
    await runAnew(await signedInBefore(10), { max_age: '1' });
  });

  it('oidcc-max-age-10000', async () => {
    const first = await run({ max_age: '15000' });
    assert.equal(typeof first.idToken.claims.auth_time, 'number');
    await runAgain(first, { max_age: '10000' });
  });

  it('oidcc-ensure-request-with-unknown-parameter-succeeds', async () => {
    await run({ extra: 'foobar' });
  });

  it('oidcc-id-token-hint', async () => {
    const first = await run();
    await runAgain(first, { prompt: 'none', id_token_hint: first.idToken.text });
  });

  it('oidcc-login-hint', async () => {
    const { email } = provider.person;
    for (const login_hint of ['buffy@op.example', email]) {
      const page = await arrive(provider, openBrowser(), makeRequest(provider.client, { login_hint }));
      assert.ok(page.text.includes(`value="${login_hint}"`), page.text);
    }
    await run({ login_hint: email });
  });

  it('oidcc-ui-locales', async () => {
    await run({ ui_locales: 'se' });
    const browser = openBrowser();
    const request = makeRequest(provider.client, { ui_locales: 'se de-AT en', prompt: 'consent' });
    const signIn = await arrive(provider, browser, request);
    assert.equal(languageOf(signIn), 'de');
    const form = { email: provider.person.email, server: 'default' };
    const action = `${provider.postern.url}/sign-in`;
    assert.equal(languageOf(await browser.open(action, { form: { ...form, password: 'wrong' } })), 'de');
    const consent = await browser.open(action, { form: { ...form, password: 'Password@123' } });
    assert.match(consent.text, /name="decision"/);
    assert.equal(languageOf(consent), 'de');
    await trade(provider, provider.client, request, await follow(browser, consent.url, provider.person));
    const later = await browser.open(`${provider.postern.url}/account`, { language: 'en' });
    assert.equal(languageOf(later), 'en', 'it was for the way there alone');
  });

  it('oidcc-claims-locales', async () => {
    await run({ claims_locales: 'se' });
  });

  it('oidcc-ensure-request-with-acr-values-succeeds', async () => {
    const { acr_values_supported: known } = provider.metadata;
    const { idToken } = await run({ acr_values: known.join(' ') });
    assert.ok(known.includes(idToken.claims.acr));
  });

  it('oidcc-ensure-registered-redirect-uri', async () => {
    const redirect_uri = `${redirectUri}/${randomBytes(5).toString('hex')}`;
    const page = await arrive(provider, openBrowser(), makeRequest(provider.client, { redirect_uri }));
    assert.equal(page.status, 400);
    assert.ok(!page.url.startsWith(redirectUri), page.url);
    assert.match(page.text, /redirect_uri/);
  });

  it('oidcc-ensure-post-request-succeeds', async () => {
    await run({}, { method: 'POST' });
  });

  it('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    const requestUri = 'https://rp.example/request.jwt#hash';
    const { body: registered } = await register(provider, { request_uris: [requestUri] });
    const { parameters } = makeRequest(registered, { request_uri: requestUri, state: undefined, nonce: undefined });
    const back = await arrive(provider, openBrowser(), { parameters, verifier: '' });
    assert.equal(checkErrorResponse(undefined, back), 'request_uri_not_supported');
    assert.equal(provider.metadata.request_uri_parameter_supported, false);
  });

  it('oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported', async () => {
    const { outside, object } = inObject();
    const parameters = { ...outside, request: object };
    const back = await arrive(provider, openBrowser(), { parameters, verifier: '' });
    assert.equal(checkErrorResponse(undefined, back), 'request_not_supported');
    assert.ok(!provider.metadata.request_parameter_supported);
  });

  it('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const { outside, object } = inObject();
    const parameters = { ...outside, redirect_uri: `${redirectUri}_invalid`, request: object };
    const page = await arrive(provider, openBrowser(), { parameters, verifier: '' });
    assert.equal(page.status, 400);
    assert.ok(!page.url.startsWith(redirectUri), page.url);
    assert.match(page.text, /redirect_uri/);
  });
});
