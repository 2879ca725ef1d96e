/** A program that signs its users in with Postern, by an unmodified client library; and the person at its browser. */
import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { connectDatabase, type Database } from '../../src/database/database.ts';
import { totpCode } from './authenticator.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { databaseUrlOf } from './engines.ts';
import { letterTo, proofIn } from './mailbox.ts';
import { type Postern, startPostern } from './start-postern.ts';
import { waitFor } from './wait-for.ts';

export const password = 'Password@123';
export const redirectUri = 'http://127.0.0.1:5999/callback';

let count = 0;

export interface Person {
  email: string;
  uuid: string;
  /** Of the session that registering opened. */
  token: string;
  /** The next code of their authenticator app, where they have one. */
  code?: () => Promise<string>;
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

type AtTheBrowser = Pick<Person, 'email' | 'code'>;

/** What the person does at each page until the browser is back at the client, or at a page where they can do nothing. */
export async function follow(
  browser: Browser,
  start: string,
  person: AtTheBrowser,
  { decision = 'allow', until = redirectUri }: { decision?: 'allow' | 'deny' | 'think'; until?: string } = {},
): Promise<Page> {
  let page = await browser.open(start, { until });
  for (let step = 0; step < 6 && !page.url.startsWith(until); step++) {
    const form = await formOf(page, person, decision);
    if (!form) return page;
    page = await browser.open(form.action, { until, form: form.fields });
  }
  return page;
}

const ownForms =
  /<form[^>]*action="(\/oauth\/interaction[^"]*|\/sign-in(?:\/second-factor)?|\/account\/step-up\/(?:password|code))"[^>]*>(.*?)<\/form>/s;

async function formOf({ text, url }: Page, { email, code }: AtTheBrowser, decision: string) {
  const [, action, body = ''] = ownForms.exec(text) ?? [];
  const isAsked = body.includes('name="decision"');
  if (action === undefined || (isAsked && decision === 'think')) return undefined;
  const fields = fieldsIn(body);
  if ('email' in fields) fields.email = email;
  if ('password' in fields) fields.password = password;
  if ('code' in fields) fields.code = (await code?.()) ?? '';
  if (isAsked) fields.decision = decision;
  return { action: new URL(action, url).href, fields };
}

/** The inputs of a form, as a browser would send them back. */
export function fieldsIn(form: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [input] of form.matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    if (name !== undefined) fields[name] = /value="([^"]*)"/.exec(input)?.[1] ?? '';
  }
  return fields;
}

/** Sends the form of a page whose action begins so, with what a person adds to it. */
export function send(
  browser: Browser,
  { text, url }: Page,
  action: string,
  { until = redirectUri, ...given }: Record<string, string> = {},
): Promise<Page> {
  const forms = [...text.matchAll(/<form[^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
  const [, to = '', body = ''] = forms.find((form) => form[1]?.startsWith(action)) ?? [];
  assert.ok(to, `No form for ${action} at ${url}:\n${text}`);
  return browser.open(new URL(to, url).href, { form: { ...fieldsIn(body), ...given }, until });
}

/** The whole way: sign in, say yes, and trade the code for tokens. */
export async function signIn(
  config: client.Configuration,
  person: AtTheBrowser,
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
  maxAge?: number,
) {
  const checks = {
    ...{ pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
    ...(maxAge !== undefined && { maxAge }),
  };
  return client.authorizationCodeGrant(config, new URL(back), checks, undefined, options);
}

/** A whole Postern, with what stands around it where clients sign users in. */
export interface Stage {
  postern: Postern;
  /** As links and clients have it. */
  url: string;
  db: Database;
  /** Access token of an administrator. */
  admin: string;
  close: () => Promise<void>;
}

export async function openStage(env: Record<string, string> = {}): Promise<Stage> {
  const email = 'admin@oauth.example';
  const postern = await startPostern({
    env: { VERIFY_CODE_SECONDS: '600', BOOTSTRAP_ADMIN_EMAIL: email, BOOTSTRAP_ADMIN_PASSWORD: password, ...env },
  });
  const db = connectDatabase(await databaseUrlOf(postern), { max: 2, name: 'postern test' });
  const login = await postern.call('POST', '/login', { json: { email, password } });
  assert.equal(login.status, 200, login.text);
  return {
    postern,
    url: `http://localhost:${postern.port}`,
    db,
    admin: login.body.token.access_token,
    close: async () => {
      await db.end();
      await postern.dispose();
    },
  };
}

/** A web application that signs users in and goes on without them, but for what is said otherwise in the words of RFC 7591. */
export async function registerClient({ postern, admin }: Stage, metadata: object = {}): Promise<MadeClient> {
  const json = {
    scope: 'openid profile email offline_access basic users:read',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectUri],
    ...metadata,
  };
  const { status, body, text } = await postern.call('POST', '/clients', { token: admin, json });
  assert.equal(status, 201, text);
  return body;
}

/** Somebody with an authenticator app. */
export async function makePersonWithApp(stage: Stage): Promise<Person> {
  return addApp(stage, await makePerson(stage.postern));
}

/** Who signs in anew from now on is asked for its code. */
export async function addApp({ postern, db }: Stage, person: Person): Promise<Person> {
  const { token, uuid } = person;
  const { id, secret } = (await postern.call('POST', '/auth/second-factors/totp', { token, json: {} })).body;
  const json = { code: totpCode(secret) };
  const confirmed = await postern.call('POST', `/auth/second-factors/totp/${id}/confirm`, { token, json });
  assert.equal(confirmed.status, 200, confirmed.text);
  const code = async () => {
    // Half a minute passes: each code is good once.
    await db`UPDATE second_factors SET last_step = 0 WHERE user_id = ${uuid}`;
    return totpCode(secret);
  };
  return { ...person, code };
}

/** What a promise comes to, or the error that the server gave the client. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'done';
  } catch (error) {
    if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError) {
      return error.error;
    }
    if (error instanceof client.WWWAuthenticateChallengeError) {
      return error.cause.map(({ parameters }) => parameters.error ?? 'challenge').join();
    }
    throw error;
  }
}

/** Waits until the server says of a token that it is none. */
export async function hasEnded(config: client.Configuration, token: string): Promise<void> {
  await waitFor(async () => !(await client.tokenIntrospection(config, token)).active, { what: 'a token to end' });
}
