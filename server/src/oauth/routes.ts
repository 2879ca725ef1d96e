import { Type } from 'typebox';
import type { TokenSigner } from '../crypto/access-tokens.ts';
import type { SigningKeys } from '../crypto/signing-keys.ts';
import type { App, Routes } from '../http/server.ts';
import { makeAuthenticateClient, parameters } from './authenticate-client.ts';
import { OAuthError, sendOAuthError } from './errors.ts';
import { answeredGrants, checkGrantType, grantClientCredentials } from './grant-token.ts';
import { introspect, revokeToken, type TokenReader } from './introspect.ts';

export interface OAuthWorld extends TokenReader {
  signer: TokenSigner;
  keys: SigningKeys;
  publicUrl: string;
  accessTokenSeconds: number;
}

const ClientCredential = {
  client_id: Type.Optional(Type.String()),
  client_secret: Type.Optional(Type.String({ description: 'Or HTTP Basic with id and secret' })),
};
const noStore = { 'Cache-Control': 'no-store', Pragma: 'no-cache' };
const security = [{ basic: [] }, {}];
const consumes = ['application/x-www-form-urlencoded', 'application/json'];

export function oauthRoutes(world: OAuthWorld): Routes {
  return (app) => {
    discoveryRoutes(world)(app);
    // A scope of its own: faults in here leave in the form of RFC 6749.
    app.register(async (scope) => {
      scope.setErrorHandler(sendOAuthError);
      // The documented schemas do not validate: unknown fields are ignored here, and faults have their own codes.
      scope.setValidatorCompiler(() => (value: unknown) => ({ value }));
      tokenRoutes(world)(scope as App);
    });
  };
}

function tokenRoutes(world: OAuthWorld): Routes {
  const authenticateClient = makeAuthenticateClient(world);
  return (app) => {
    for (const url of ['/oauth/token', '/authorize']) {
      app.post(
        url,
        {
          schema: {
            tags: ['OAuth'],
            summary: 'A token for a client: grant client_credentials',
            security,
            consumes,
            body: Type.Object({
              grant_type: Type.Literal('client_credentials'),
              ...ClientCredential,
              scope: Type.Optional(Type.String({ description: 'Separated by spaces; else all the client has' })),
            }),
            response: {
              200: Type.Object({
                token_type: Type.Literal('Bearer'),
                expires_in: Type.Integer(),
                access_token: Type.String(),
                scope: Type.String(),
              }),
            },
          },
        },
        async (request, reply) => {
          const { grant_type, scope } = parameters(request.body, ['grant_type', 'scope']);
          const client = await authenticateClient(request);
          checkGrantType(grant_type);
          reply.headers(noStore);
          return grantClientCredentials(world, client, scope);
        },
      );
    }

    app.post(
      '/oauth/introspect',
      {
        schema: {
          tags: ['OAuth'],
          summary: "Whether a token of the client's tenant is good, and what it says (RFC 7662)",
          security,
          consumes,
          body: Type.Object({ token: Type.String(), ...ClientCredential }),
        },
      },
      async (request, reply) => {
        const client = await authenticateClient(request);
        if (client.isPublic) throw new OAuthError('invalid_client', 'Introspection needs a client with a secret.');
        reply.headers(noStore);
        return introspect(world, client, tokenOf(request.body));
      },
    );

    app.post(
      '/oauth/revoke',
      {
        schema: {
          tags: ['OAuth'],
          summary: 'End an access token, or the session of a refresh token (RFC 7009)',
          security,
          consumes,
          body: Type.Object({ token: Type.String(), ...ClientCredential }),
        },
      },
      async (request, reply) => {
        const client = await authenticateClient(request);
        await revokeToken(world, client, tokenOf(request.body));
        return reply.headers(noStore).code(200).send();
      },
    );
  };
}

function tokenOf(body: unknown): string {
  const { token } = parameters(body, ['token']);
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing.');
  return token;
}

/** What programs read to find their way (RFC 8414). It lists what exists, and nothing that is to come. */
function discoveryRoutes({ publicUrl, keys }: OAuthWorld): Routes {
  const authMethods = ['client_secret_basic', 'client_secret_post'];
  const metadata = {
    issuer: publicUrl,
    token_endpoint: `${publicUrl}/oauth/token`,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    grant_types_supported: answeredGrants,
    response_types_supported: [],
    token_endpoint_auth_methods_supported: authMethods,
    introspection_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_methods_supported: [...authMethods, 'none'],
  };
  return (app) => {
    app.get(
      '/.well-known/jwks.json',
      { schema: { tags: ['OAuth'], summary: 'Keys that verify access tokens' } },
      // Short enough that a removed key is known to be within a minute (S28). While the database is away they are those
      // known last: programs that verify tokens themselves can then go on.
      async (_request, reply) => reply.header('Cache-Control', 'public, max-age=30').send(keys.latest().jwks),
    );
    app.get(
      '/.well-known/oauth-authorization-server',
      { schema: { tags: ['OAuth'], summary: 'Where everything of OAuth is (RFC 8414)' } },
      async (_request, reply) => reply.header('Cache-Control', 'public, max-age=60').send(metadata),
    );
  };
}
