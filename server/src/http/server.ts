/**
 * The Fastify instance every route is added to: validation, errors, security headers, documentation, and a close that
 * fails no request. It knows no feature; `start.ts` hands the routes in.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import cors from '@fastify/cors';
import formbody from '@fastify/formbody';
import helmet from '@fastify/helmet';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController, type RawServerDefault } from 'fastify';
import { defineError } from '../errors.ts';
import { rememberMethods } from './allowed-methods.ts';
import { documentApi } from './docs.ts';
import { followConnections } from './drain.ts';
import { parseJsonBody } from './json-body.ts';
import { observeRequests } from './metrics.ts';
import { stylesheet } from './page.ts';
import {
  answerUnknown,
  answerUnreadable,
  invalidRequest,
  Problem,
  sendProblem,
  unsupportedMediaType,
} from './problem.ts';
import { compileValidator } from './validate.ts';

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** A feature's routes: adds them to the app. */
export type Routes = (app: App) => void;

const unsupportedEncoding = defineError('http.unsupported_encoding', 415, 'Compressed bodies are not read');

export interface ServerOptions {
  log: FastifyBaseLogger;
  publicUrl: string;
  trustProxy: string[];
  version: string;
  routes: Routes[];
}

/** Bodies of calls that carry no mail. */
const bodyLimit = 64 * 1024;

export async function buildServer({ log, publicUrl, trustProxy, version, routes }: ServerOptions): Promise<App> {
  const isHttps = publicUrl.startsWith('https:');
  const app: App = Fastify({
    loggerInstance: log,
    // One line per request would drown the log and cost a tenth of the speed; metrics count them, errors are logged.
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: trustProxy.length > 0 ? trustProxy : false,
    bodyLimit,
    requestTimeout: 30_000,
    // Headers come at once or from somebody who wants to hold the connection (S52).
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : randomUUID();
    },
    frameworkErrors: sendProblem,
    clientErrorHandler: answerUnreadable,
    return503OnClosing: false,
    forceCloseConnections: false,
  }).withTypeProvider<TypeBoxTypeProvider>();

  followConnections(app);
  app.setValidatorCompiler(compileValidator);
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler(answerUnknown(rememberMethods(app)));
  app.addSchema(Problem);
  app.decorateRequest('caller', undefined);

  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: unknown, body: Buffer) =>
      // An empty body is no body: calls that need one say so by their schema.
      body.length === 0 ? undefined : parseJsonBody(body),
  );
  await app.register(formbody, { bodyLimit });
  app.addHook('preParsing', async (request) => {
    // Forms are for the calls that say so. Any site can make a browser send one; JSON it cannot, without being asked.
    const { 'content-type': type = '', 'content-length': length } = request.headers;
    const isForm = length !== '0' && /^application\/x-www-form-urlencoded\b/i.test(type);
    if (isForm && !request.routeOptions.schema?.consumes?.includes('application/x-www-form-urlencoded')) {
      throw unsupportedMediaType({ detail: 'Send the body as JSON, with Content-Type: application/json.' });
    }
  });

  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id);
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      throw unsupportedEncoding({ detail: `Send the body without Content-Encoding: ${encoding}.` });
    }
    // Node keeps the first of two; a proxy in front of it may have checked the second.
    if (countHeader(request.raw.rawHeaders, 'authorization') > 1) {
      throw invalidRequest({ detail: 'Send one Authorization header.' });
    }
  });
  app.addHook('onSend', async (_request, reply) => {
    if (!reply.hasHeader('Cache-Control')) reply.header('Cache-Control', 'no-store');
  });

  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        frameSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // Over plain HTTP browsers ignore it, and on localhost it would lock the developer's other ports to HTTPS.
    strictTransportSecurity: isHttps ? { maxAge: 31_536_000 } : false,
    referrerPolicy: { policy: 'no-referrer' },
  });
  await app.register(cors, {
    // Credentials travel in the Authorization header only, so any origin may call; no cookie is ever sent along.
    // The dev inbox holds codes and stays readable for its own page alone, also when it is written `/%69nbox`.
    delegator: ({ url, headers }, done) =>
      done(null, {
        origin: /^\/inbox\b/.test(decodeURI(url.split('?')[0] ?? '')) ? false : '*',
        preflight: 'access-control-request-method' in headers,
        methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
        exposedHeaders: ['Location', 'Retry-After', 'WWW-Authenticate', 'Idempotent-Replay', 'X-Request-Id'],
        maxAge: 600,
      }),
  });

  observeRequests(app);
  await documentApi(app, { publicUrl, version });
  app.get('/postern.css', { schema: { hide: true } }, (_request, reply) =>
    reply.type('text/css').header('Cache-Control', 'public, max-age=300').send(stylesheet),
  );
  await app.register(async (scope) => {
    for (const add of routes) add(scope as App);
  });
  return app;
}

function countHeader(rawHeaders: string[], name: string): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i];
    if (header?.length === name.length && header.toLowerCase() === name) count++;
  }
  return count;
}
