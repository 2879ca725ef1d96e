/** Tokens of clients, introspection and the code flow, against `oidc-provider` alone and against what the machine allows. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { startBareFastify } from './auth-peers.ts';
import { drive, formRequest, getRequest, jsonOf, jsonRequest, type Result } from './http-driver.ts';
import { bareSignaturesOnAllCores } from './limits.ts';
import {
  type OAuthClient,
  type OAuthServer,
  redirectUri,
  scopes,
  startOidcProvider,
  startOidcProviderOnPostgres,
  startPosternForOAuth,
} from './oauth-servers.ts';
import { arePeersInstalled } from './peer-packages.ts';
import { heading, median, medianLoads, report, reportFailures, rounds } from './report.ts';

const connections = 64;
const warmUpSeconds = 2;

export async function oauth({ seconds }: { seconds: number }): Promise<void> {
  heading('OAuth: tokens of clients, introspection, the code flow, 64 connections each');
  const postern = await startPosternForOAuth();
  const { client } = postern;
  const hasPeers = arePeersInstalled();
  try {
    const peers = hasPeers ? [await startOidcProvider(client)] : [];
    try {
      await tokensOfClients([postern, ...peers], client, seconds);
      await codeFlow([postern, ...peers], client, seconds);
    } finally {
      for (const peer of peers) await peer.dispose();
    }
    const keepers = hasPeers ? [await startOidcProviderOnPostgres(client)] : [];
    try {
      await introspections([postern, ...keepers], client, seconds);
    } finally {
      for (const peer of keepers) await peer.dispose();
    }
  } finally {
    await postern.dispose();
  }
}

async function tokensOfClients(servers: OAuthServer[], client: OAuthClient, seconds: number): Promise<void> {
  const [ours] = servers;
  const [answer = ''] = await collect(ours, tokenRequest(client), 1);
  const bare = servers.length > 1 ? await startBareFastify(JSON.stringify(jsonOf(answer))) : undefined;
  const request = () => tokenRequest(client);
  const limits: Limit[] = [];
  const signed: Result[] = [];
  const issued = servers.map((): Result[] => []);
  try {
    // Who has just started still compiles what it does.
    for (const path of ['/oauth/token', '/oauth/signed']) {
      if (bare) await drive(loadOf(bare, client, path, warmUpSeconds));
    }
    for (const { port } of servers) await drive({ port, connections, expect: 200, seconds: warmUpSeconds, request });
    for (let i = 0; i < rounds; i++) {
      if (bare) {
        limits.push(await limitOf(bare, client, seconds));
        signed.push(await drive(loadOf(bare, client, '/oauth/signed', seconds)));
      }
      for (const [index, { port }] of servers.entries()) {
        issued[index]?.push(await drive({ port, connections, expect: 200, seconds, request }));
      }
    }
  } finally {
    await bare?.dispose();
  }
  const [first, peer] = issued.map((results) => median(results, ({ perSecond }) => perSecond));
  if (!first) return;
  const limit = limits.length > 0 ? median(limits, ({ perSecond }) => perSecond) : undefined;
  if (limit) {
    const { signatures, requests, cpuSeconds, perSecond } = limit;
    report({ what: 'bare ES256 signatures, all cores', value: signatures, unit: '/s' });
    report({ what: 'bare Fastify, POST of JSON', unit: '/s', value: requests.perSecond, ...latencyOf(requests) });
    report({ what: 'the same, CPU time of server and driver', unit: 'µs', value: cpuSeconds * 1e6 });
    report({ what: 'what both together allow', unit: '/s', value: perSecond });
  }
  reportFailures(first.failures);
  const ratio = limit && { of: 'what both allow', value: first.perSecond / limit.perSecond, goal: '≥ 0.6' };
  const what = 'client-credentials tokens';
  report({ what, unit: '/s', value: first.perSecond, ...latencyOf(first), ...(ratio && { ratio }) });
  if (signed.length > 0) {
    const together = median(signed, ({ perSecond }) => perSecond);
    compare(what, first, { ...together, name: 'bare Fastify that signs' });
  }
  if (peer) compare(what, first, { ...peer, name: 'oidc-provider', goal: '≥ 1.5' });
}

interface Limit {
  signatures: number;
  requests: Result;
  /** Of server and driver together, for one request. */
  cpuSeconds: number;
  /** Tokens. */
  perSecond: number;
}

/**
 * What bare signing and a bare route would allow together, on all cores; what they come to in one thread is measured beside
 * it. A token is one signature and one request. All cores at nothing else make so many signatures a second, so that one takes
 * the machine `1 / signatures`; a request takes it the CPU time that server and driver spend on it, shared among the cores.
 * However the work is spread over threads, no machine has more time than that; and no thread that answers also signs quicker
 * than it only answers. Both rates would be reached by nobody: nothing is counted for handing signatures to other threads.
 */
async function limitOf(
  { port, cpuSeconds }: Awaited<ReturnType<typeof startBareFastify>>,
  client: OAuthClient,
  seconds: number,
): Promise<Limit> {
  const signatures = await bareSignaturesOnAllCores(seconds);
  const before = await cpuSeconds();
  const own = process.cpuUsage();
  const requests = await drive(loadOf({ port }, client, '/oauth/token', seconds));
  const { user, system } = process.cpuUsage(own);
  const each = ((await cpuSeconds()) - before + (user + system) / 1e6) / requests.answered;
  const perSecond = Math.min(requests.perSecond, 1 / (1 / signatures + each / availableParallelism()));
  return { signatures, requests, cpuSeconds: each, perSecond };
}

function loadOf({ port }: { port: number }, client: OAuthClient, path: string, seconds: number) {
  const credentials = { client_id: client.id, client_secret: client.secret };
  const request = jsonRequest(path, { grant_type: 'client_credentials', scope: scopes.own, ...credentials });
  return { port, connections, expect: 200, seconds, request: () => request };
}

/** Introspects tokens that Postern has in its memory of verified ones, and more of them than it remembers. */
async function introspections(servers: OAuthServer[], client: OAuthClient, seconds: number): Promise<void> {
  for (const { count, goal } of [{ count: 1_000, goal: '≥ 2' }, { count: 20_000 }]) {
    const what = `introspection of ${count.toLocaleString('en')} tokens`;
    const loads = [];
    for (const server of servers) {
      const answers = await collect(server, tokenRequest(client), count);
      const requests = answers.map((answer) => {
        const token = String(jsonOf(answer).access_token);
        return formRequest('/oauth/introspect', { token }, basic(client));
      });
      let turn = 0;
      const request = () => requests[turn++ % count] ?? '';
      // Of a token that it does not know a server says so with the same status, and sooner.
      const known = await collect(server, request, count);
      if (!known.every((said) => said.includes('"active":true'))) throw new Error(`${server.name} denies its tokens.`);
      loads.push({ port: server.port, connections, expect: 200, seconds, request });
    }
    const [first, peer] = await medianLoads(loads);
    if (!first) return;
    report({ what, unit: '/s', value: first.perSecond, ...latencyOf(first) });
    if (peer) compare(what, first, { ...peer, name: servers[1]?.name ?? '', ...(goal !== undefined && { goal }) });
  }
}

/** A browser that is signed in comes for a code, having said yes before; then the client trades it. */
async function codeFlow(servers: OAuthServer[], client: OAuthClient, seconds: number): Promise<void> {
  const authorized = servers.map((): Result[] => []);
  const traded = servers.map((): Result[] => []);
  for (let i = 0; i < rounds; i++) {
    for (const [index, server] of servers.entries()) {
      const { port } = server;
      const codes: string[] = [];
      const onSuccess = (answer: string) => codes.push(/\r\nlocation: \S+[?&]code=([\w-]+)/i.exec(answer)?.[1] ?? '');
      const request = () => authorizeRequest(client, server.cookie());
      authorized[index]?.push(await drive({ port, connections, expect: 303, seconds, request, onSuccess }));
      if (codes.includes('')) throw new Error(`${server.name} sends browsers elsewhere than to the client.`);
      // The last first: none is then older than the two loads are long, and they are good for a minute.
      const trade = () => tradeRequest(client, codes.pop() ?? '');
      const load = { port, connections, expect: 200, seconds, requests: codes.length, request: trade };
      traded[index]?.push(await drive(load));
    }
  }
  for (const [what, results] of [
    ['authorizations', authorized],
    ['codes traded for tokens', traded],
  ] as const) {
    const [first, peer] = results.map((ofServer) => median(ofServer, ({ perSecond }) => perSecond));
    if (!first) return;
    reportFailures(first.failures);
    report({ what, unit: '/s', value: first.perSecond, ...latencyOf(first) });
    if (peer) compare(what, first, { ...peer, name: 'oidc-provider, in memory' });
  }
}

function compare(what: string, ours: Result, { name, goal, ...peer }: Result & { name: string; goal?: string }): void {
  reportFailures(peer.failures);
  report({ what: `${name}: the same`, unit: '/s', value: peer.perSecond, ...latencyOf(peer) });
  const value = ours.perSecond / peer.perSecond;
  report({ what, unit: '×', value, ratio: { of: name, value, ...(goal !== undefined && { goal }) } });
}

const latencyOf = ({ p50, p99 }: Result) => ({ p50, p99 });

/** So many answers of a server. */
async function collect(server: OAuthServer | undefined, request: string | (() => string), count: number) {
  const answers: string[] = [];
  const make = typeof request === 'string' ? () => request : request;
  const onSuccess = (answer: string) => answers.push(answer);
  await drive({ port: server?.port ?? 0, connections: 16, expect: 200, requests: count, request: make, onSuccess });
  if (answers.length < count) throw new Error(`${server?.name} gave ${answers.length} answers of ${count}.`);
  return answers;
}

function basic({ id, secret }: OAuthClient): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` };
}

function tokenRequest(client: OAuthClient): string {
  return formRequest('/oauth/token', { grant_type: 'client_credentials', scope: scopes.own }, basic(client));
}

const verifier = 'v'.repeat(43);

function authorizeRequest({ id }: OAuthClient, cookie: string): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: id,
    redirect_uri: redirectUri,
    scope: scopes.users,
    state: 'd1b8f2a64c3e',
    nonce: '7f0c5e9b2a41',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  return getRequest(`/oauth/authorize?${query}`, { Cookie: cookie });
}

function tradeRequest(client: OAuthClient, code: string): string {
  const fields = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier };
  return formRequest('/oauth/token', fields, basic(client));
}
