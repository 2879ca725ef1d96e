/**
 * `oidc-provider` alone, over node:http. With a database it keeps everything there and gives opaque tokens; without one it
 * keeps everything in memory and gives JWTs, and one user is signed in and has said yes to its client.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider, { type Adapter, type AdapterPayload, type JWK } from 'oidc-provider';
import postgres from 'postgres';

const {
  PEER_DATABASE_URL,
  PEER_CLIENT_ID = '',
  PEER_CLIENT_SECRET = '',
  PEER_REDIRECT_URI = '',
  PEER_SCOPE = '',
} = process.env;
const accountId = 'ann';
const resource = 'http://localhost/api';

/** What a team would write: one table, a row for each thing. */
async function inDatabase(url: string): Promise<(kind: string) => Adapter> {
  const sql = postgres(url, { max: 20 });
  await sql`
    CREATE TABLE oidc (
      kind text, id text, payload jsonb NOT NULL, grant_id text, uid text, user_code text, expires_at timestamptz,
      consumed_at timestamptz,
      PRIMARY KEY (kind, id)
    )`;
  await sql`CREATE INDEX ON oidc (grant_id)`;
  await sql`CREATE INDEX ON oidc (uid)`;
  await sql`CREATE INDEX ON oidc (user_code)`;
  const read = (rows: { payload: AdapterPayload; isConsumed: boolean }[]) =>
    rows[0] && { ...rows[0].payload, ...(rows[0].isConsumed && { consumed: true }) };
  const found = sql`
    SELECT payload, consumed_at IS NOT NULL AS "isConsumed" FROM oidc
    WHERE (expires_at IS NULL OR expires_at > now())`;
  return (kind) => ({
    upsert: async (id, payload, seconds = 0) => {
      const { grantId = null, uid = null, userCode = null } = payload;
      await sql`
        INSERT INTO oidc (kind, id, payload, grant_id, uid, user_code, expires_at)
        VALUES (${kind}, ${id}, ${sql.json(payload as never)}, ${grantId}, ${uid}, ${userCode},
                now() + make_interval(secs => ${seconds}))
        ON CONFLICT (kind, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`;
    },
    find: async (id) => read(await sql`${found} AND kind = ${kind} AND id = ${id}`),
    findByUid: async (uid) => read(await sql`${found} AND kind = ${kind} AND uid = ${uid}`),
    findByUserCode: async (code) => read(await sql`${found} AND kind = ${kind} AND user_code = ${code}`),
    consume: async (id) => void (await sql`UPDATE oidc SET consumed_at = now() WHERE kind = ${kind} AND id = ${id}`),
    destroy: async (id) => void (await sql`DELETE FROM oidc WHERE kind = ${kind} AND id = ${id}`),
    revokeByGrantId: async (grantId) => void (await sql`DELETE FROM oidc WHERE grant_id = ${grantId}`),
  });
}

/** Its own keeps the last 1,000 things alone: codes would be gone before they are traded. */
function inMemory(): (kind: string) => Adapter {
  const kept = new Map<string, AdapterPayload>();
  return (kind) => ({
    upsert: async (id, payload) => void kept.set(`${kind} ${id}`, payload),
    find: async (id) => kept.get(`${kind} ${id}`),
    findByUid: async (uid) => [...kept.values()].find((payload) => payload.uid === uid),
    findByUserCode: async () => undefined,
    consume: async (id) => void Object.assign(kept.get(`${kind} ${id}`) ?? {}, { consumed: true }),
    destroy: async (id) => void kept.delete(`${kind} ${id}`),
    revokeByGrantId: async () => {},
  });
}

function newKey(alg: 'ES256' | 'RS256'): JWK {
  const { privateKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' } as JWK;
}

function makeProvider(issuer: string, adapter: (kind: string) => Adapter): Provider {
  return new Provider(issuer, {
    adapter,
    jwks: { keys: [newKey('RS256'), newKey('ES256')] },
    clients: [
      {
        client_id: PEER_CLIENT_ID,
        client_secret: PEER_CLIENT_SECRET,
        grant_types: ['client_credentials', 'authorization_code'],
        redirect_uris: [PEER_REDIRECT_URI],
        response_types: ['code'],
        scope: PEER_SCOPE,
      },
    ],
    scopes: PEER_SCOPE.split(' '),
    claims: { profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount: async (_ctx, sub) => ({
      accountId: sub,
      claims: async () => ({ sub, name: 'Ann', email: 'ann@example.com', email_verified: true }),
    }),
    routes: { token: '/oauth/token', introspection: '/oauth/introspect', authorization: '/oauth/authorize' },
    cookies: { long: { signed: false }, short: { signed: false } },
    ttl: {
      ClientCredentials: 3_600,
      AccessToken: 3_600,
      AuthorizationCode: 60,
      IdToken: 3_600,
      Session: 86_400,
      Grant: 86_400,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      resourceIndicators: {
        enabled: PEER_DATABASE_URL === undefined,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: PEER_SCOPE,
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
}

/** @returns the cookie of a browser at which the user is signed in and has let the client have all that it asks for */
async function signIn(provider: Provider): Promise<string> {
  const grant = new provider.Grant({ accountId, clientId: PEER_CLIENT_ID });
  grant.addOIDCScope(PEER_SCOPE);
  grant.addResourceScope(resource, PEER_SCOPE);
  const session = new provider.Session();
  session.loginAccount({ accountId });
  session.ensureClientContainer(PEER_CLIENT_ID);
  session.grantIdFor(PEER_CLIENT_ID, await grant.save());
  await session.save(86_400);
  return `${provider.cookieName('session')}=${session.jti}`;
}

const server = createServer();
server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as AddressInfo;
  const adapter = PEER_DATABASE_URL === undefined ? inMemory() : await inDatabase(PEER_DATABASE_URL);
  const provider = makeProvider(`http://localhost:${port}`, adapter);
  server.on('request', provider.callback());
  process.send?.({ port, cookie: await signIn(provider) });
});
process.on('disconnect', () => process.exit());
