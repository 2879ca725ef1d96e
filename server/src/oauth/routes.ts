import { Type } from 'typebox';
import type { SigningKeys } from '../crypto/signing-keys.ts';
import type { App, Routes } from '../http/server.ts';
import { makeAuthenticateClient, type ProofWorld, parameters, refuseSecretInUrl } from './authenticate-client.ts';
import { assertionType } from './client-assertion.ts';
import type { ReadDocument } from './client-keys.ts';
import { clientRoutes } from './client-routes.ts';
import { type ConsentWorld, consentRoutes } from './consent-routes.ts';
import { OAuthError, sendOAuthError } from './errors.ts';
import { type ClientGrantWorld, checkGrantType, grantClientCredentials, isUsersGrant } from './grant-token.ts';
import { introspect, revokeToken, type TokenReader } from './introspect.ts';
import { paths } from './provider/paths.ts';
import { type ProviderRoutesWorld, providerRoutes, type ServeProvider } from './provider/routes.ts';
import { type RegisterWorld, registerRoutes } from './register-routes.ts';

export interface OAuthWorld
  extends TokenReader,
    ProofWorld,
    ClientGrantWorld,
    ConsentWorld,
    RegisterWorld,
    Pick<ProviderRoutesWorld, 'limits' | 'linkPages'> {
  db: TokenReader['db'];
  secrets: TokenReader['secrets'];
  needs: ConsentWorld['needs'];
  revoke: RegisterWorld['revoke'];
  publicUrl: string;
  keys: SigningKeys;
  serveProvider: ServeProvider;
  readDocument: ReadDocument;
}

const ClientCredential = {
  client_id: Type.Optional(Type.String()),
  client_secret: Type.Optional(Type.String({ description: 'Or HTTP Basic with id and secret' })),
  client_assertion_type: Type.Optional(Type.Literal(assertionType)),
  client_assertion: Type.Optional(Type.String({ description: 'In the place of a secret: a signed JWT (RFC 7523)' })),
};
const noStore = { 'Cache-Control': 'no-store', Pragma: 'no-cache' };
const security = [{ basic: [] }, {}];
const consumes = ['application/x-www-form-urlencoded', 'application/json'];

export function oauthRoutes(world: OAuthWorld): Routes {
  return (app) => {
    keyRoutes(world)(app);
    providerRoutes(world, world.serveProvider)(app);
    consentRoutes(world)(app);
    clientRoutes(world)(app);
    registerRoutes(world)(app);
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
            description: 'With the header DPoP the token is bound to the key of that proof (RFC 9449).',
            security,
            consumes,
            body: Type.Object({
              grant_type: Type.Literal('client_credentials'),
              ...ClientCredential,
              scope: Type.Optional(Type.String({ description: 'Separated by spaces; else all the client has' })),
              resource: Type.Optional(Type.String({ description: 'For whom the token is; else Postern (RFC 8707)' })),
            }),
            response: {
              200: Type.Object({
                token_type: Type.String({ enum: ['Bearer', 'DPoP'] }),
                expires_in: Type.Integer(),
                access_token: Type.String(),
                scope: Type.String(),
              }),
            },
          },
        },
        async (request, reply) => {
          const { grant_type, scope } = parameters(request.body, ['grant_type', 'scope']);
          refuseSecretInUrl(request);
          if (grant_type !== undefined && isUsersGrant(grant_type))
            return world.serveProvider(request, reply, paths.token);
          const client = await authenticateClient(request);
          checkGrantType(grant_type);
          reply.headers(noStore);
          return grantClientCredentials(world, client, { scope, resource: resourceOf(request.body) }, request);
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

/** As it was sent: that one stands twice is a fault of its own kind (RFC 8707 §2). */
function resourceOf(body: unknown): unknown {
  const isObject = typeof body === 'object' && body !== null && Object.hasOwn(body, 'resource');
  return isObject ? (body as { resource: unknown }).resource : undefined;
}

function tokenOf(body: unknown): string {
  const { token } = parameters(body, ['token']);
  if (token === undefined) throw new OAuthError('invalid_request', 'token is missing.');
  return token;
}

function keyRoutes({ keys }: OAuthWorld): Routes {
  return (app) => {
    app.get(
      paths.jwks,
      { schema: { tags: ['OAuth'], summary: 'Keys that verify access tokens and ID tokens' } },
      // Short enough that a removed key is known to be within a minute (S28). While the database is away they are those
      // known last: programs that verify tokens themselves can then go on.
      async (_request, reply) => reply.header('Cache-Control', 'public, max-age=30').send(keys.latest().jwks),
    );
  };
}
