/** Two nodes of one database are one server to clients and browsers; and what was begun goes on after a node was killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
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
  registerClient,
  type Stage,
  send,
  signIn,
} from '../support/relying-party.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const offline = { scope: 'openid profile email offline_access', prompt: 'consent' };
const refresh = (config: client.Configuration, token: string | undefined) =>
  client.refreshTokenGrant(config, token ?? '');

/** Hands each request to the next of the nodes. */
async function startBalancer(): Promise<{ server: Server; port: number; nodes: Postern[] }> {
  const nodes: Postern[] = [];
  let count = 0;
  const server = createServer((incoming, response) => {
    const { method, url: path, headers } = incoming;
    const port = nodes[count++ % nodes.length]?.port;
    const onward = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return { server, port: (server.address() as AddressInfo).port, nodes };
}

describe('two nodes of one database', () => {
  let balancer: Awaited<ReturnType<typeof startBalancer>>;
  let stage: Stage;
  let one: Postern;
  let two: Postern;
  let config: client.Configuration;
  before(async () => {
    balancer = await startBalancer();
    const env = { SECRET_KEY: randomBytes(32).toString('base64'), PUBLIC_URL: `http://localhost:${balancer.port}` };
    stage = await openStage(env);
    one = stage.postern;
    two = await startPostern({ dataDir: one.dataDir, env: { ...env, VERIFY_CODE_SECONDS: '600' } });
    balancer.nodes.push(one, two);
    config = await discover({ ...one, port: balancer.port }, await registerClient(stage));
  });
  after(async () => {
    balancer.server.closeAllConnections();
    balancer.server.close();
    await two.dispose();
    await stage.close();
  });

  /** The same client, whose calls go to that node alone. */
  async function at(node: Postern): Promise<client.Configuration> {
    const party = await discover({ ...one, port: balancer.port }, config.clientMetadata());
    party[client.customFetch] = (url, options) =>
      fetch(url.replace(`:${balancer.port}`, `:${node.port}`), options as RequestInit);
    return party;
  }

  it('take turns at everything a client and its user do', async () => {
    const person = await makePerson(one);
    const { tokens, browser } = await signIn(config, person, { parameters: offline });
    let { refresh_token } = tokens;
    for (let turn = 0; turn < 5; turn++) {
      const next = await refresh(config, refresh_token);
      assert.equal((await client.fetchUserInfo(config, next.access_token, person.uuid)).email, person.email);
      refresh_token = next.refresh_token;
    }
    assert.equal((await signIn(config, person, { browser })).tokens.claims()?.sub, person.uuid);
    const device = await discover({ ...one, port: balancer.port }, await deviceOf(stage));
    const started = await client.initiateDeviceAuthorization(device, { scope: 'openid email' });
    const typed = await send(browser, await browser.open(started.verification_uri), '/device', {
      user_code: started.user_code,
    });
    const asked = await send(browser, typed, '/device', { confirm: 'yes' });
    assert.match((await follow(browser, asked.url, person)).text, /Your device is connected/);
    const { device_code } = started;
    assert.ok((await client.genericGrantRequest(device, deviceCode, { device_code })).access_token);
  });

  it('know the codes of each other, and take each once', async () => {
    const [here, there] = [await at(one), await at(two)];
    const person = await makePerson(one);
    const flow = await begin(config, offline);
    const back = await follow(openBrowser(), flow.url.href, person);
    const tokens = await exchange(there, flow, back.url);
    assert.equal(tokens.claims()?.sub, person.uuid);
    assert.equal(await outcomeOf(exchange(here, flow, back.url)), 'invalid_grant');
    for (const node of [here, there]) await hasEnded(node, tokens.access_token);
    assert.equal(await outcomeOf(refresh(there, tokens.refresh_token)), 'invalid_grant');

    const raced = await begin(config);
    const end = await follow(openBrowser(), raced.url.href, person);
    const all = Array.from({ length: 10 }, (_, i) => outcomeOf(exchange(i % 2 ? here : there, raced, end.url)));
    assert.ok((await Promise.all(all)).filter((outcome) => outcome === 'done').length <= 1);
  });

  it('give one next refresh token, however many ask at once', async () => {
    const nodes = [await at(one), await at(two)];
    const { tokens } = await signIn(config, await makePerson(one), { parameters: offline });
    const all = Array.from({ length: 20 }, (_, i) => refresh(nodes[i % 2] ?? config, tokens.refresh_token));
    const next = new Set((await Promise.all(all)).map(({ refresh_token }) => refresh_token));
    assert.equal(next.size, 1);
    const [token] = next;
    for (const node of nodes) assert.equal((await client.tokenIntrospection(node, token ?? '')).active, true);
    assert.equal(await outcomeOf(refresh(config, token)), 'done');
  });

  it('refuse what has ended on the other: revoked, signed out, withdrawn', async () => {
    const [here, there] = [await at(one), await at(two)];
    const revoked = await signIn(config, await makePerson(one), { parameters: offline });
    await client.tokenRevocation(here, revoked.tokens.refresh_token ?? '');
    await hasEnded(there, revoked.tokens.access_token);
    assert.equal(await outcomeOf(refresh(there, revoked.tokens.refresh_token)), 'invalid_grant');

    const out = await signIn(config, await makePerson(one));
    await out.browser.open(`${config.serverMetadata().issuer}/account/sign-out`, { form: {} });
    for (const node of [here, there]) await hasEnded(node, out.tokens.access_token);

    const person = await makePerson(one);
    const withdrawn = await signIn(config, person, { parameters: offline });
    const path = `/auth/consents/${config.clientMetadata().client_id}`;
    assert.equal((await one.call('DELETE', path, { token: person.token })).status, 204);
    await hasEnded(there, withdrawn.tokens.access_token);
    assert.equal(await outcomeOf(refresh(there, withdrawn.tokens.refresh_token)), 'invalid_grant');
  });
});

describe('a node that is killed', () => {
  let stage: Stage;
  let postern: Postern;
  let config: client.Configuration;
  before(async () => {
    stage = await openStage();
    ({ postern } = stage);
    config = await discover(postern, await registerClient(stage));
  });
  after(async () => {
    await stage.db.end();
    await postern.dispose();
  });

  async function killed() {
    await postern.kill();
    postern = await postern.restart();
    stage = { ...stage, postern };
  }

  it('goes on where a flow had come to: at the sign-in, at the consent, at the code', async () => {
    const person = await makePerson(postern);
    const browser = openBrowser();
    const flow = await begin(config);
    const page = await browser.open(flow.url.href);
    await killed();
    const given = { email: person.email, password: 'Password@123' };
    const asked = await send(browser, page, '/sign-in', given);
    assert.ok(asked.text.includes('name="decision"'), asked.text);
    await killed();
    const back = await send(browser, asked, '/oauth/interaction', { decision: 'allow' });
    await killed();
    const tokens = await exchange(config, flow, back.url);
    await killed();
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, person.uuid)).email, person.email);
    const silent = await begin(config, { prompt: 'none' });
    const again = await browser.open(silent.url.href, { until: 'http://127.0.0.1:5999' });
    assert.equal(await outcomeOf(exchange(config, silent, again.url)), 'done', 'session and consent are kept');
  });

  it('knows which refresh tokens it has given out, and which may be used', async () => {
    const person = await makePerson(postern);
    const { tokens } = await signIn(config, person, { parameters: offline });
    const next = await refresh(config, tokens.refresh_token);
    let last = next.refresh_token;
    const busy = (async () => {
      for (;;) last = (await refresh(config, last)).refresh_token;
    })().catch(() => {});
    await killed();
    await busy;
    // However long it was away: what is acknowledged is still there, at the most one that was not is before it.
    await stage.db`UPDATE oauth_grants SET refreshed_at = now() WHERE user_id = ${person.uuid}`;
    assert.equal((await refresh(config, last)).claims()?.sub, person.uuid);
    await stage.db`
      UPDATE oauth_grants SET refreshed_at = now() - interval '11 s' WHERE user_id = ${person.uuid}`;
    await killed();
    assert.equal(await outcomeOf(refresh(config, tokens.refresh_token)), 'invalid_grant', 'an old one is old');
  });

  it('still waits for whoever types in the code of a device, and has not forgotten what they said', async () => {
    const person = await makePerson(postern);
    const device = await discover(postern, await deviceOf(stage));
    const started = await client.initiateDeviceAuthorization(device, { scope: 'openid email' });
    const browser = openBrowser();
    const page = await browser.open(started.verification_uri);
    await killed();
    const typed = await send(browser, page, '/device', { user_code: started.user_code });
    const asked = await send(browser, typed, '/device', { confirm: 'yes' });
    await killed();
    assert.match((await follow(browser, asked.url, person)).text, /Your device is connected/);
    await killed();
    const { device_code } = started;
    const tokens = await client.genericGrantRequest(device, deviceCode, { device_code });
    assert.equal(tokens.claims()?.sub, person.uuid);
  });

  it('keeps a pushed request, and that an ended one has ended', async () => {
    const flow = await begin(config);
    const pushed = await client.buildAuthorizationUrlWithPAR(config, Object.fromEntries(flow.url.searchParams));
    const person = await makePerson(postern);
    const { tokens } = await signIn(config, person, { parameters: offline });
    await client.tokenRevocation(config, tokens.refresh_token ?? '');
    await killed();
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false);
    const back = await follow(openBrowser(), pushed.href, person);
    assert.equal((await exchange(config, flow, back.url)).claims()?.sub, person.uuid);
  });
});

function deviceOf(stage: Stage) {
  return registerClient(stage, {
    ...{ grant_types: [deviceCode], redirect_uris: [], token_endpoint_auth_method: 'none' },
    ...{ scope: 'openid email' },
  });
}
