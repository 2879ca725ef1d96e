/** A program that signs its users in with Postern, by an unmodified client library; and the person at its browser. */
import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { letterTo, proofIn } from './mailbox.ts';
import type { Postern } from './start-postern.ts';

export const password = 'Password@123';
export const redirectUri = 'http://127.0.0.1:5999/callback';

let count = 0;

export interface Person {
  email: string;
  uuid: string;
  /** Of the session that registering opened. */
  token: string;
}

export async function makePerson(postern: Postern, more: object = {}): Promise<Person> {
  const email = `person${++count}@oauth.example`;
  const { status, body } = await postern.call('POST', '/auth/register', {
    json: { email, password, name: 'Ann', ...more },
  });
  assert.equal(status, 201, JSON.stringify(body));
  const { token } = proofIn(await letterTo(postern, email));
  assert.equal((await postern.call('POST', '/auth/verify', { json: { token } })).status, 200);
  return { email, uuid: body.user.uuid, token: body.token.access_token };
}

export interface MadeClient {
  client_id: string;
  client_secret?: string;
}

/** Made by the command line. @param args beyond those of a web application that signs users in */
export async function makeClient(postern: Postern, ...args: string[]): Promise<MadeClient> {
  const { code, stdout, stderr } = await postern.cli(
    ...['clients', 'create', '--json', '--scope', 'openid profile email offline_access basic users:read'],
    ...['--grant', 'authorization_code', '--grant', 'refresh_token', '--redirect-uri', redirectUri],
    ...args,
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

export async function discover(
  postern: Postern,
  { client_id, client_secret }: MadeClient,
  authentication?: client.ClientAuth,
): Promise<client.Configuration> {
  return client.discovery(
    new URL(`http://localhost:${postern.port}`),
    client_id,
    client_secret,
    authentication ?? (client_secret === undefined ? client.None() : undefined),
    { execute: [client.allowInsecureRequests] },
  );
}

export interface Flow {
  url: URL;
  verifier: string;
  state: string;
  nonce: string;
}

export async function begin(config: client.Configuration, parameters: Record<string, string> = {}): Promise<Flow> {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: 'openid profile email',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  });
  return { url, verifier, state, nonce };
}

/** What the person does at each page until the browser is back at the client, or at a page where they can do nothing. */
export async function follow(
  browser: Browser,
  start: string,
  person: Pick<Person, 'email'>,
  { decision = 'allow', until = redirectUri }: { decision?: 'allow' | 'deny'; until?: string } = {},
): Promise<Page> {
  let page = await browser.open(start, { until });
  for (let step = 0; step < 6 && !page.url.startsWith(until); step++) {
    const form = formOf(page, person, decision);
    if (!form) return page;
    page = await browser.open(form.action, { until, form: form.fields });
  }
  return page;
}

function formOf({ text, url }: Page, { email }: Pick<Person, 'email'>, decision: string) {
  const [, action, body = ''] =
    /<form[^>]*action="(\/oauth\/interaction[^"]*|\/sign-in|\/account\/step-up\/password)"[^>]*>(.*?)<\/form>/s.exec(
      text,
    ) ?? [];
  if (action === undefined) return undefined;
  const fields: Record<string, string> = {};
  for (const [input] of body.matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    if (name !== undefined) fields[name] = /value="([^"]*)"/.exec(input)?.[1] ?? '';
  }
  if ('email' in fields) fields.email = email;
  if ('password' in fields) fields.password = password;
  if (body.includes('name="decision"')) fields.decision = decision;
  return { action: new URL(action, url).href, fields };
}

/** The whole way: sign in, say yes, and trade the code for tokens. */
export async function signIn(
  config: client.Configuration,
  person: Pick<Person, 'email'>,
  {
    browser = openBrowser(),
    parameters = {},
    options,
  }: { browser?: Browser; parameters?: Record<string, string>; options?: client.AuthorizationCodeGrantOptions } = {},
) {
  const flow = await begin(config, parameters);
  const back = await follow(browser, flow.url.href, person);
  assert.ok(back.url.startsWith(redirectUri), `${back.status} ${back.url}: ${back.text}`);
  const tokens = await exchange(config, flow, back.url, options);
  return { tokens, browser, flow, back: new URL(back.url) };
}

export function exchange(
  config: client.Configuration,
  { verifier, state, nonce }: Flow,
  back: string,
  options?: client.AuthorizationCodeGrantOptions,
) {
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  return client.authorizationCodeGrant(config, new URL(back), checks, undefined, options);
}
