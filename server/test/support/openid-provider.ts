/** Providers of OpenID Connect on loopback: a real one, and one that lies. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import Provider from 'oidc-provider';

export const clientId = 'postern';
export const clientSecret = 'a-secret-of-the-tests-0123456789';

export interface Account {
  sub: string;
  email?: string;
  email_verified?: unknown;
  name?: string;
  picture?: string;
}

export interface OpenIdProvider {
  issuer: string;
  /** Who is at the browser. Undefined: somebody who says no. */
  person: Account | undefined;
  close: () => Promise<void>;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/** The npm package `oidc-provider`, certified by the OpenID Foundation. Its people log in and consent by themselves. */
export async function startOpenIdProvider(redirectUri: string): Promise<OpenIdProvider> {
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown = () => {};
  const server = createServer((request, response) => handle(request, response));
  const issuer = await listen(server);
  const accounts = new Map<string, Account>();
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['only for tests'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ ...accounts.get(id), sub: id }) }),
  });
  const self: OpenIdProvider = { issuer, person: undefined, close: () => close(server) };
  const serve = provider.callback();
  handle = async (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return serve(request, response);
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    const { person } = self;
    if (!person)
      return provider.interactionFinished(request, response, {
        error: 'access_denied',
        error_description: 'they said no',
      });
    accounts.set(person.sub, person);
    if (prompt.name === 'login') {
      return provider.interactionFinished(request, response, { login: { accountId: person.sub } });
    }
    const grant = new provider.Grant({
      accountId: session?.accountId ?? person.sub,
      clientId: String(params.client_id),
    });
    grant.addOIDCScope(String(params.scope));
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  };
  return self;
}

export interface LyingProvider extends OpenIdProvider {
  /** Makes the ID token out of what an honest one would say, and says how it is signed. */
  lie: (honest: JWTPayload) => Lie | Promise<Lie>;
  /** How many times its token endpoint was asked. */
  asked: () => number;
}

export interface Lie {
  claims?: JWTPayload;
  /** `other`: by a key it never published. */
  key?: 'own' | 'other';
  /** The whole token, where it is none that a library would make. */
  token?: string;
  status?: number;
}

/** Sends everybody straight back, and says whatever it is told to say. */
export async function startLyingProvider(): Promise<LyingProvider> {
  const own = await generateKeyPair('RS256');
  const other = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(own.publicKey)), kid: 'own', alg: 'RS256', use: 'sig' };
  const nonces = new Map<string, string>();
  let asked = 0;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', issuer);
    const json = (body: unknown, status = 200) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    if (url.pathname === '/.well-known/openid-configuration') {
      return json({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      });
    }
    if (url.pathname === '/jwks') return json({ keys: [jwk] });
    if (url.pathname === '/authorize') {
      const code = `code-${nonces.size}`;
      nonces.set(code, url.searchParams.get('nonce') ?? '');
      const back = new URL(url.searchParams.get('redirect_uri') ?? '');
      back.searchParams.set('code', code);
      back.searchParams.set('state', url.searchParams.get('state') ?? '');
      return response.writeHead(302, { Location: back.href }).end();
    }
    asked++;
    let body = '';
    for await (const chunk of request) body += chunk;
    const nonce = nonces.get(new URLSearchParams(body).get('code') ?? '');
    const now = Math.floor(Date.now() / 1_000);
    const honest: JWTPayload = { iss: issuer, aud: clientId, iat: now, exp: now + 300, nonce, ...self.person };
    const { claims = honest, key = 'own', token, status = 200 } = await self.lie(honest);
    if (status !== 200) return json({ error: 'invalid_grant' }, status);
    const { privateKey } = key === 'own' ? own : other;
    const signed =
      token ?? (await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'own' }).sign(privateKey));
    return json({ access_token: 'x', token_type: 'Bearer', expires_in: 60, id_token: signed });
  });
  const issuer = await listen(server);
  const self: LyingProvider = {
    issuer,
    person: { sub: 'somebody', email: 'somebody@liar.example', email_verified: true },
    lie: () => ({}),
    asked: () => asked,
    close: () => close(server),
  };
  return self;
}
