/**
 * What the OpenID Foundation's conformance suite does in each of its tests of a provider, in our own words: the request,
 * the way through the pages, and the checks that every module makes (its `AbstractOIDCCServerTest`).
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { follow, type MadeClient, makeClient, makePerson, type Person, redirectUri } from './relying-party.ts';
import { call, type Postern, type Reply, startPostern } from './start-postern.ts';

// The plans want every endpoint to be HTTPS; a proxy would end that in front of Postern, and is left out here.
export const issuer = 'https://op.example';

/** The provider under test, as discovery tells of it, and what the plan's configuration names. */
export interface Provider {
  postern: Postern;
  // biome-ignore lint/suspicious/noExplicitAny: tests read deep into answers whose shape is what they assert.
  metadata: any;
  jwks: JSONWebKeySet;
  person: Person;
  client: Client;
}

export type Client = MadeClient & { authMethod?: 'client_secret_basic' | 'client_secret_post' };
/** Of a request; `undefined` leaves one out that stands in every other. */
export type Parameters = Record<string, string | undefined>;
export type Claims = Record<string, unknown>;

/** Dispose of its `postern` in an `after` hook. */
export async function startProvider(): Promise<Provider> {
  const postern = await startPostern({ env: { PUBLIC_URL: issuer, OAUTH_REGISTRATION: 'on' } });
  const person = await makePerson(postern, { username: 'ann', profile_image_url: 'https://img.example/ann.png' });
  const client = await makeClient(postern, '--name', 'Conformance');
  const { body: metadata } = await postern.call('GET', '/.well-known/openid-configuration');
  const { body: jwks } = await postern.call('GET', new URL(metadata.jwks_uri).pathname);
  return { postern, metadata, jwks, person, client };
}

/** A client that registers itself, with the key that the suite always brings along. */
export async function register(provider: Provider, more: object = {}): Promise<Reply> {
  const { stdout } = await provider.postern.cli('clients', 'create', '--json', '--scope', 'clients:register');
  const initial = await callToken(provider, JSON.parse(stdout), { grant_type: 'client_credentials' });
  const { publicKey } = await generateKeyPair('RS256');
  return call(endpoint(provider, 'registration'), 'POST', {
    token: initial.body.access_token,
    json: {
      client_name: 'Registered',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: [redirectUri],
      contacts: ['certification@oidf.org'],
      token_endpoint_auth_method: 'client_secret_basic',
      jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }] },
      ...more,
    },
  });
}

/** Where an endpoint of the metadata answers in this test. */
export function endpoint({ postern, metadata }: Provider, name: string): string {
  return `${postern.url}${new URL(metadata[`${name}_endpoint`]).pathname}`;
}

export interface AuthorizationRequest {
  parameters: Record<string, string>;
  verifier: string;
}

/** The suite sends `code_challenge` in one module alone; Postern asks for it everywhere (RFC 9700 §2.1.1). */
export function makeRequest({ client_id }: MadeClient, more: Parameters = {}): AuthorizationRequest {
  const verifier = randomBytes(32).toString('base64url');
  const parameters: Parameters = {
    client_id,
    redirect_uri: redirectUri,
    scope: 'openid',
    state: randomBytes(8).toString('base64url').slice(0, 10),
    nonce: randomBytes(8).toString('base64url').slice(0, 10),
    response_type: 'code',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  };
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { parameters: Object.fromEntries(given), verifier };
}

export function requestUrl(provider: Provider, { parameters }: AuthorizationRequest): string {
  return `${endpoint(provider, 'authorization')}?${new URLSearchParams(parameters)}`;
}

export function isBack({ url }: Page): boolean {
  return url.split(/[?#]/)[0] === redirectUri;
}

/** Where a request leads before anybody does anything: back to the client, or to a page. */
export function arrive(
  provider: Provider,
  browser: Browser,
  request: AuthorizationRequest,
  method: 'GET' | 'POST' = 'GET',
): Promise<Page> {
  if (method === 'GET') return browser.open(requestUrl(provider, request), { until: redirectUri });
  const { parameters: form } = request;
  return browser.open(endpoint(provider, 'authorization'), {
    until: redirectUri,
    form,
    origin: 'https://rp.example',
  });
}

/** `CheckStateInAuthorizationResponse`, `ValidateIssIfPresentInAuthorizationResponse`, and a code that cannot be guessed. */
export function checkResponse(
  { parameters }: AuthorizationRequest,
  back: Page,
): { code: string; response: URLSearchParams } {
  assert.ok(isBack(back), `${back.status} ${back.url}: ${back.text}`);
  const { searchParams: response, hash } = new URL(back.url);
  assert.equal(hash, '', 'the answer is in the query');
  assert.equal(response.get('error'), null, back.url);
  assert.equal(response.get('state'), parameters.state ?? null);
  assert.equal(response.get('iss'), issuer, 'RFC 9207');
  return { code: response.get('code') ?? assert.fail('no code'), response };
}

/** `performGenericAuthorizationEndpointErrorResponseValidation`. @returns the error */
export function checkErrorResponse(state: string | undefined, back: Page): string {
  assert.ok(isBack(back), `${back.status} ${back.url}: ${back.text}`);
  const { searchParams: response } = new URL(back.url);
  assert.equal(response.get('state'), state ?? null);
  assert.equal(response.get('iss'), issuer, 'RFC 9207');
  for (const name of response.keys()) {
    assert.ok(['error', 'error_description', 'error_uri', 'state', 'iss'].includes(name), `unexpected: ${name}`);
  }
  checkErrorTexts(Object.fromEntries(response));
  return response.get('error') ?? assert.fail('no error');
}

/** RFC 6749 §5.2 and Appendix A: the letters they may have. */
export function checkErrorTexts({ error, error_description, error_uri }: Claims): void {
  assert.match(String(error), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  if (error_description !== undefined) assert.match(String(error_description), /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  if (error_uri !== undefined) assert.ok(URL.canParse(String(error_uri)));
}

/** A call of the token endpoint by a client that says who it is. */
export function callToken(provider: Provider, client: Client, form: Record<string, string>): Promise<Reply> {
  const { client_id, client_secret = '', authMethod = 'client_secret_basic' } = client;
  const url = endpoint(provider, 'token');
  if (authMethod === 'client_secret_post') return call(url, 'POST', { form: { ...form, client_id, client_secret } });
  const [user, password] = [client_id, client_secret].map((one) =>
    new URLSearchParams([['', one]]).toString().slice(1),
  );
  return call(url, 'POST', { form, basic: `${user}:${password}` });
}

export function codeForm({ verifier }: AuthorizationRequest, code: string): Record<string, string> {
  return { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier };
}

/** `CheckTokenEndpointHttpStatus200` to `ValidateExpiresIn`, and the headers of RFC 6749 §5.1. */
export function checkTokens({ status, headers, body, text }: Reply): void {
  assert.equal(status, 200, text);
  assert.match(headers.get('content-type') ?? '', /^application\/json\b/);
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.match(body.access_token, /^[\x21-\x7e]+$/);
  assert.ok(entropyOf(body.access_token) > 96);
  assert.equal(body.token_type.toLowerCase(), 'bearer');
  assert.ok(Number.isInteger(body.expires_in) && body.expires_in > 0);
}

/** Where the token endpoint says no. @returns the error */
export function checkTokenError({ status, headers, body, text }: Reply): string {
  assert.equal(status, 400, text);
  assert.match(headers.get('content-type') ?? '', /^application\/json\b/);
  checkErrorTexts(body);
  return body.error;
}

export interface IdToken {
  claims: Claims;
  header: { alg?: string; kid?: string };
  text: string;
}

/** `PerformStandardIdTokenChecks`: signature, issuer, audience, times, nonce, and the types of what else it says. */
export async function checkIdToken(
  { jwks }: Provider,
  { client_id }: MadeClient,
  text: string,
  { nonce, accessToken }: { nonce: string | undefined; accessToken?: string },
): Promise<IdToken> {
  const { payload } = await jwtVerify(text, createLocalJWKSet(jwks), {
    issuer,
    audience: client_id,
    clockTolerance: 300,
  });
  const claims: Claims = payload;
  const header = decodeProtectedHeader(text);
  const now = Date.now() / 1_000;
  const { sub, exp, iat, auth_time: authTime, acr, at_hash: atHash } = claims as Record<string, number>;
  assert.match(String(sub), /^[\x20-\x7e]{1,255}$/);
  assert.ok(typeof exp === 'number' && exp < now + 50 * 365 * 86_400);
  assert.ok(typeof iat === 'number' && Math.abs(iat - now) < 300);
  if (authTime !== undefined) assert.ok(authTime > now - 365 * 86_400 && authTime < now + 300);
  if (acr !== undefined) assert.ok(typeof acr === 'string' && acr !== '');
  assert.equal(claims.nonce, nonce);
  if (atHash !== undefined && accessToken !== undefined) {
    const hash = createHash('sha256').update(accessToken, 'ascii').digest().subarray(0, 16);
    assert.equal(atHash, hash.toString('base64url'));
  }
  checkStandardClaims(claims);
  return { claims, header, text };
}

const strings = (
  'sub name given_name family_name middle_name nickname preferred_username profile picture website email gender ' +
  'birthdate zoneinfo locale phone_number'
).split(' ');

/** `ValidateUserInfoStandardClaims`: what is not known is left out, never null or empty (OpenID Connect Core §5.3.2). */
export function checkStandardClaims(claims: Claims): void {
  for (const name of strings) {
    const value = claims[name];
    if (value === undefined) continue;
    assert.ok(typeof value === 'string' && value.trim() !== '' && value.toLowerCase() !== 'null', name);
  }
  for (const name of ['email_verified', 'phone_number_verified']) {
    if (name in claims) assert.equal(typeof claims[name], 'boolean', name);
  }
  if ('updated_at' in claims) assert.ok(Number(claims.updated_at) < Date.now() / 1_000 + 300);
  assert.equal('_claim_names' in claims, '_claim_sources' in claims);
}

export function userinfo(provider: Provider, token: string): Promise<Reply> {
  return call(endpoint(provider, 'userinfo'), 'GET', { token });
}

/** `EnsureContentTypeJson` to `VerifyUserInfoAndIdTokenInTokenEndpointSameSub`. @returns what is said of the user */
export function checkUserinfo({ status, headers, body, text }: Reply, { claims }: IdToken): Claims {
  assert.equal(status, 200, text);
  assert.match(headers.get('content-type') ?? '', /^application\/json\b/);
  checkStandardClaims(body);
  assert.equal(body.sub, claims.sub);
  return body;
}

/** What the suite measures of a code or a token: Shannon's entropy of its letters. */
export function entropyOf(text: string): number {
  const counts = [...text].reduce((known, one) => known.set(one, (known.get(one) ?? 0) + 1), new Map<string, number>());
  return [...counts.values()].reduce((sum, count) => sum - count * Math.log2(count / text.length), 0);
}

export interface Flow {
  request: AuthorizationRequest;
  browser: Browser;
  code: string;
  tokens: Reply['body'];
  idToken: IdToken;
}

export interface RunOptions {
  browser?: Browser;
  method?: 'GET' | 'POST';
  /** Nobody is to be asked anything. */
  isSilent?: boolean;
}

/** The whole of what `AbstractOIDCCServerTest` does and checks, from the request to userinfo. */
export async function runFlow(
  provider: Provider,
  client: Client,
  parameters: Parameters = {},
  { browser = openBrowser(), method = 'GET', isSilent = false }: RunOptions = {},
): Promise<Flow> {
  const request = makeRequest(client, parameters);
  const landed = await arrive(provider, browser, request, method);
  if (isSilent) assert.ok(isBack(landed), `nobody was to be asked: ${landed.url}`);
  const back = isBack(landed) ? landed : await follow(browser, landed.url, provider.person);
  return { ...(await trade(provider, client, request, back)), browser };
}

/** From the browser's return to the tokens, with every check on the way. */
export async function trade(
  provider: Provider,
  client: Client,
  request: AuthorizationRequest,
  back: Page,
): Promise<Omit<Flow, 'browser'>> {
  const { code } = checkResponse(request, back);
  const reply = await callToken(provider, client, codeForm(request, code));
  checkTokens(reply);
  const { body: tokens } = reply;
  const idToken = await checkIdToken(provider, client, tokens.id_token, {
    nonce: request.parameters.nonce,
    accessToken: tokens.access_token,
  });
  assert.equal((await userinfo(provider, tokens.access_token)).status, 200);
  return { request, code, tokens, idToken };
}
