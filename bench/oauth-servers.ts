/** OAuth servers that are compared: each has the same client, with the same secret, at the same paths. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { openEmbedded } from '../server/src/database/embedded.ts';
import { removeData } from '../server/test/support/start-postern.ts';
import { startChild } from './child.ts';
import { makePeople } from './people.ts';
import { type BenchPostern, startBenchPostern } from './postern.ts';

export interface OAuthServer {
  name: string;
  port: number;
  /** The cookie of a browser at which somebody is signed in who has let the client do what it asks for. */
  cookie: () => string;
  dispose: () => Promise<void>;
}

export interface OAuthClient {
  id: string;
  secret: string;
}

export const redirectUri = 'http://127.0.0.1:5999/callback';
/** What the client asks for in its own name, and in a user's. */
export const scopes = { own: 'basic', users: 'openid profile email' };
const allScopes = `${scopes.own} ${scopes.users}`;
const signedIn = 1_000;

/** Postern, with 1,000 users who are signed in at a browser each, and the client. */
export async function startPosternForOAuth(): Promise<OAuthServer & { client: OAuthClient }> {
  const postern = await startBenchPostern({});
  const client = await makeClient(postern);
  const people = await makePeople(postern);
  await people.growTo(signedIn);
  const { body: metadata } = await postern.postern.call('GET', '/.well-known/openid-configuration');
  await postern.sql`
    INSERT INTO oauth_consents (user_id, client_id, scopes, claims, resources)
    SELECT users.id, clients.id, ${scopes.users.split(' ')}, '{}',
           ${scopes.users.split(' ').map((scope) => `${metadata.issuer} ${scope}`)}
    FROM users, clients WHERE clients.client_id = ${client.id}`;
  const { port, dispose } = postern;
  return { name: 'Postern', port, cookie: people.cookie, dispose, client };
}

async function makeClient({ postern }: BenchPostern): Promise<OAuthClient> {
  const { code, stdout, stderr } = await postern.cli(
    ...['clients', 'create', '--json', '--id', 'calendar', '--scope', allScopes, '--redirect-uri', redirectUri],
    ...['--grant', 'client_credentials', '--grant', 'authorization_code'],
  );
  if (code !== 0) throw new Error(stderr);
  const { client_id, client_secret } = JSON.parse(stdout);
  return { id: client_id, secret: client_secret };
}

/** Its access tokens are JWTs, which it does not keep; the rest is in its memory. */
export function startOidcProvider(client: OAuthClient): Promise<OAuthServer> {
  return start('oidc-provider', client, {}, async () => {});
}

/** Its access tokens are opaque, and kept in a PostgreSQL of its own as is the rest. */
export async function startOidcProviderOnPostgres(client: OAuthClient): Promise<OAuthServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-bench-oidc-'));
  const database = await openEmbedded(dataDir, pino({ level: 'silent' }));
  return start('oidc-provider, PostgreSQL', client, { PEER_DATABASE_URL: database.url }, async () => {
    await database.close();
    await removeData(dataDir);
  });
}

async function start(
  name: string,
  { id, secret }: OAuthClient,
  env: Record<string, string>,
  dispose: () => Promise<void>,
): Promise<OAuthServer> {
  const child = await startChild('./peers/oidc-provider.ts', {
    NODE_ENV: 'production',
    PEER_CLIENT_ID: id,
    PEER_CLIENT_SECRET: secret,
    PEER_REDIRECT_URI: redirectUri,
    PEER_SCOPE: allScopes,
    ...env,
  });
  const cookie = String(child.hello.cookie);
  return {
    name,
    port: Number(child.hello.port),
    cookie: () => cookie,
    dispose: async () => {
      await child.end();
      await dispose();
    },
  };
}
