/** Programs whose requests are made by hand, so that they may be wrong; with users, browsers and the database at hand. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { makeSecrets, type Secrets } from '../../src/crypto/secrets.ts';
import { type Browser, openBrowser, type Page } from './browser.ts';
import { realSigner } from './real-signer.ts';
import { follow, password, redirectUri } from './relying-party.ts';
import { type Reply, startPostern } from './start-postern.ts';

export interface RawClient {
  client_id: string;
  client_secret?: string;
}

export interface RawUser {
  email: string;
  uuid: string;
  token: string;
}

/** What is sent: undefined leaves a parameter out that would be there. */
export type Parameters = Record<string, string | undefined>;

export interface Code {
  code: string;
  verifier: string;
  back: URL;
}

const resource = 'https://api.example/v1';

export async function startTarget() {
  const secret = 'the operator';
  const postern = await startPostern({
    env: {
      SECRET_KEY: randomBytes(32).toString('base64'),
      BOOTSTRAP_CLIENT_ID: 'operator',
      BOOTSTRAP_CLIENT_SECRET: secret,
      BOOTSTRAP_CLIENT_SCOPE: 'admin users:write',
    },
  });
  const issuer = `http://localhost:${postern.port}`;
  const signer = await realSigner(postern);
  const secrets = makeSecrets([Buffer.from(postern.env.SECRET_KEY ?? '', 'base64')]);
  const asked = await postern.call('POST', '/oauth/token', {
    form: { grant_type: 'client_credentials', client_id: 'operator', client_secret: secret },
  });
  const operator: string = asked.body.access_token;
  let count = 0;

  /** Confidential where nothing else is said, and with all that Postern has for clients. */
  async function makeClient(metadata: object = {}): Promise<RawClient> {
    const json = {
      scope: 'openid profile email offline_access basic users:read',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      resources: [resource],
      ...metadata,
    };
    const made = await postern.call('POST', '/clients', { token: operator, json });
    assert.equal(made.status, 201, made.text);
    return made.body;
  }

  async function makeUser(more: object = {}): Promise<RawUser> {
    const email = `user${++count}@attacks.example`;
    const made = await postern.call('POST', '/register', { json: { email, password, ...more } });
    assert.equal(made.status, 201, made.text);
    return { email, uuid: made.body.user.uuid, token: made.body.token.access_token };
  }

  /** A user of another tenant, and a client of it that asks nobody. */
  async function makeElsewhere(): Promise<{ user: RawUser; client: RawClient }> {
    const user = await makeUser({ server: 'elsewhere' });
    const grants = ['authorization_code', 'refresh_token', 'device_code'].flatMap((grant) => ['--grant', grant]);
    const { code, stdout, stderr } = await postern.cli(
      ...['clients', 'create', '--json', '--tenant', 'elsewhere', '--scope', 'openid basic offline_access'],
      ...[...grants, '--redirect-uri', redirectUri, '--skip-consent'],
    );
    assert.equal(code, 0, stderr);
    return { user, client: JSON.parse(stdout) };
  }

  /** A browser in which the user is signed in. */
  async function browserOf({ email }: RawUser, server?: string, browser = openBrowser()): Promise<Browser> {
    const form = { email, password, ...(server !== undefined && { server }) };
    const page = await browser.open(`${issuer}/sign-in`, { form });
    assert.equal(page.status, 200, page.text);
    return browser;
  }

  function authorizeUrl({ client_id }: RawClient, parameters: Parameters = {}) {
    const verifier = randomBytes(32).toString('base64url');
    const all = {
      ...{ client_id, response_type: 'code', redirect_uri: redirectUri, scope: 'openid', state: 'st' },
      ...{ code_challenge: challengeOf(verifier), code_challenge_method: 'S256' },
      ...parameters,
    };
    return { url: `${issuer}/oauth/authorize?${new URLSearchParams(defined(all))}`, verifier, all };
  }

  /** One request of a browser: nothing is followed. */
  async function knock(browser: Browser, url: string, init: RequestInit = {}): Promise<Reply> {
    const jar = browser.cookies.get(new URL(issuer).host) ?? new Map();
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { accept: 'text/html', ...(cookie !== '' && { cookie }), ...(init.headers as object) };
    const reply = await fetch(new URL(url, issuer), { redirect: 'manual', ...init, headers });
    return { status: reply.status, headers: reply.headers, text: await reply.text(), body: undefined };
  }

  /** The same by a form. @param origin whose page it stands on */
  const submit = (browser: Browser, url: string, form: Record<string, string> | string, origin: string = issuer) =>
    knock(browser, url, {
      method: 'POST',
      body: new URLSearchParams(form).toString(),
      headers: { origin, 'content-type': 'application/x-www-form-urlencoded' },
    });

  /** The user of the browser says yes to whatever is asked. */
  async function codeFor(browser: Browser, client: RawClient, parameters: Parameters = {}): Promise<Code> {
    const { url, verifier, all } = authorizeUrl(client, parameters);
    const until = all.redirect_uri ?? redirectUri;
    const page: Page = await follow(browser, url, { email: '' }, { until });
    const back = new URL(page.url);
    const code = back.searchParams.get('code');
    assert.ok(page.url.startsWith(until) && code, `${page.status} ${page.url} ${page.text}`);
    return { code, verifier, back };
  }

  const ask = (client: RawClient, parameters: Parameters, headers: Record<string, string> = {}) =>
    postern.call('POST', '/oauth/token', { form: defined({ ...named(client), ...parameters }), headers });

  const exchange = (client: RawClient, { code, verifier }: Pick<Code, 'code' | 'verifier'>, more: Parameters = {}) =>
    ask(client, {
      ...{ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri },
      ...more,
    });

  const refresh = (client: RawClient, refresh_token: string, more: Parameters = {}) =>
    ask(client, { grant_type: 'refresh_token', refresh_token, ...more });

  /** The whole way, with a refresh token. */
  async function tokensFor(browser: Browser, client: RawClient, parameters: Parameters = {}) {
    const scope = 'openid profile email offline_access basic';
    const code = await codeFor(browser, client, { scope, prompt: 'consent', ...parameters });
    const reply = await exchange(client, code);
    assert.equal(reply.status, 200, reply.text);
    return { ...code, ...(reply.body as { access_token: string; refresh_token: string; id_token: string }) };
  }

  const userinfo = async (token: string) => (await postern.call('GET', '/oauth/userinfo', { token })).status;
  const me = async (token: string) => (await postern.call('GET', '/auth/me', { token })).status;
  const introspect = async (client: RawClient, token: string) =>
    (await postern.call('POST', '/oauth/introspect', { form: { ...named(client), token } })).body;

  return {
    ...{ postern, issuer, signer, db: signer.db, secrets, operator, resource },
    ...{
      makeClient,
      makeUser,
      makeElsewhere,
      browserOf,
      authorizeUrl,
      knock,
      submit,
      codeFor,
      ask,
      exchange,
      refresh,
      tokensFor,
    },
    ...{ userinfo, me, introspect },
    close: async () => {
      await signer.close();
      await postern.dispose();
    },
  };
}

export type Target = Awaited<ReturnType<typeof startTarget>>;

export const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url');

/** Who a client says it is, in the body. */
export function named({ client_id, client_secret }: RawClient): Record<string, string> {
  return { client_id, ...(client_secret !== undefined && { client_secret }) };
}

export function defined(parameters: Parameters): Record<string, string> {
  const given = Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return Object.fromEntries(given);
}

/** As if it had been issued that much earlier. */
export async function age(
  { db, secrets }: { db: Target['db']; secrets: Secrets },
  kind: string,
  id: string,
  seconds: number,
): Promise<void> {
  const idHash = secrets.hmac(`oauth ${kind}`, id);
  const [row] = await db<{ payload: Buffer }[]>`
    SELECT payload FROM oauth_artifacts WHERE kind = ${kind} AND id_hash = ${idHash}`;
  assert.ok(row, kind);
  const payload = JSON.parse(secrets.open(`oauth ${kind}`, row.payload).toString('utf8'));
  const older = { ...payload, iat: payload.iat - seconds, exp: payload.exp - seconds };
  await db`
    UPDATE oauth_artifacts SET payload = ${secrets.seal(`oauth ${kind}`, JSON.stringify(older))},
      expires_at = expires_at - make_interval(secs => ${seconds})
    WHERE kind = ${kind} AND id_hash = ${idHash}`;
}

/** The fields of the first form of a page. */
export function fieldsOf(text: string): Record<string, string> {
  const form = /<form.*?<\/form>/s.exec(text)?.[0] ?? '';
  const inputs = [...form.matchAll(/<input[^>]*>/g)].map(([input]) => [
    /name="([^"]*)"/.exec(input)?.[1] ?? '',
    /value="([^"]*)"/.exec(input)?.[1] ?? '',
  ]);
  return Object.fromEntries(inputs);
}
