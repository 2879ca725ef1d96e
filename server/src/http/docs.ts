/** `/openapi.json` and the try-it-out pages at `/docs`, both from the routes' own schemas. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifySchema, RouteOptions } from 'fastify';
import type { App } from './server.ts';

const logo =
  '<svg xmlns="http://www.w3.org/2000/svg" width="140" height="40"><text x="0" y="28" fill="#fff" font-family="sans-serif" font-size="26" font-weight="700">Postern</text></svg>';

export async function documentApi(
  app: App,
  { publicUrl, version }: { publicUrl: string; version: string },
): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Postern',
        version,
        license: { name: 'MIT', identifier: 'MIT' },
        description:
          'Users and mail for an application. Every error is `application/problem+json` with a stable `code`; ' +
          'OAuth endpoints answer in the form of RFC 6749.',
      },
      servers: [{ url: publicUrl }],
      tags: [
        'Users',
        'Sessions',
        'Sign-in with providers',
        'Pages',
        'OAuth',
        'Audit',
        'Mail',
        'Webhooks',
        'Dev inbox',
        'Operation',
      ].map((name) => ({ name })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description:
              "A user's or a client's access token, or an API key. A token that is bound to a key is sent as " +
              '`Authorization: DPoP` with the header `DPoP` (RFC 9449).',
          },
          basic: {
            type: 'http',
            scheme: 'basic',
            description: 'E-mail and password of a user, or client id and secret',
          },
        },
      },
    },
    transform: ({ schema, url, route }) => ({ schema: complete(schema, route), url }),
    refResolver: { buildLocalReference: (schema, _base, _fragment, i) => String(schema.$id ?? `def-${i}`) },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The pages style their own icons inline; and over plain HTTP an upgraded request would find nobody.
    transformStaticCSP: (policy) =>
      policy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(' upgrade-insecure-requests;', ''),
    logo: { type: 'image/svg+xml', content: Buffer.from(logo), href: '/' },
    theme: { title: 'Postern' },
    uiConfig: { tryItOutEnabled: true, persistAuthorization: false },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}

const problem = {
  description: 'An error',
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
};
const oauthError = {
  description: 'An error, in the form of RFC 6749',
  type: 'object',
  properties: { error: { type: 'string' }, error_description: { type: 'string' } },
};

/** Adds what follows from the route itself: its name, whether it takes a credential, and how it fails. */
function complete(schema: FastifySchema | undefined, { method, url, onRequest }: RouteOptions): FastifySchema {
  if (schema === undefined || schema.hide === true) return { ...schema, hide: true };
  const words = `${[method].flat()[0]?.toLowerCase()} ${url}`.match(/[a-z]+/gi) ?? [];
  return {
    operationId: words.map((word, i) => (i === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1))).join(''),
    // A hook before the body is read is one that asks for a credential: `needs()`.
    security: onRequest === undefined ? [] : [{ bearer: [] }],
    ...schema,
    response: {
      ...(schema.response as object | undefined),
      default: /^.oauth|^.authorize/.test(url) ? oauthError : problem,
    },
  };
}
