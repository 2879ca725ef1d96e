/**
 * The Fastify instance every route is added to: validation, errors, security headers, documentation, and a close that
 * fails no request. It knows no feature; `start.ts` hands the routes in.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import formbody from '@fastify/formbody';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController, type RawServerDefault } from 'fastify';
import { defineError } from '../errors.ts';
import { rememberMethods } from './allowed-methods.ts';
import { documentApi } from './docs.ts';
import { followConnections } from './drain.ts';
import { standardHeaders } from './headers.ts';
import { parseJsonBody } from './json-body.ts';
import { observeRequests } from './metrics.ts';
import { stylesheet } from './page.ts';
import { answerUnknown, answerUnreadable, invalidRequest, sendProblem, unsupportedMediaType } from './problem.ts';
import { Problem } from './problem-schema.ts';
import { compileSerializer } from './serialize.ts';
import { warnOfUntrustedProxy } from './untrusted-proxy.ts';
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
  const app: App = Fastify({
    loggerInstance: log,
    // A logger of its own for each request costs more than the rest of routing it; whoever logs says the request's id.
    childLoggerFactory: (logger) => logger,
    // One line per request would drown the log and cost a tenth of the speed; metrics count them, errors are logged.
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: trustProxy.length > 0 ? trustProxy : false,
    bodyLimit,
    // For the whole body: 25 MiB in base64 over 2.5 Mbit/s, or waiting for others' to be taken in.
    requestTimeout: 120_000,
    // Headers come at once or from somebody who wants to hold the connection (S52).
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[\w-]{1,64}$/.test(given) ? given : randomUUID();
    },
    schemaController: { compilersFactory: { buildSerializer: compileSerializer } },
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
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    // Forms are for the calls that say so. Any site can make a browser send one; JSON it cannot, without being asked.
    const { 'content-type': type = '', 'content-length': length } = request.headers;
    const isForm = length !== '0' && /^application\/x-www-form-urlencoded\b/i.test(type);
    if (isForm && !request.routeOptions.schema?.consumes?.includes('application/x-www-form-urlencoded')) {
      return done(unsupportedMediaType({ detail: 'Send the body as JSON, with Content-Type: application/json.' }));
    }
    done();
  });

  app.addHook('onRequest', warnOfUntrustedProxy(trustProxy));
  app.addHook('onRequest', standardHeaders({ isHttps: publicUrl.startsWith('https:') }));
  app.addHook('onRequest', (request, _reply, done) => {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
      return done(unsupportedEncoding({ detail: `Send the body without Content-Encoding: ${encoding}.` }));
    }
    // Node keeps the first of two; a proxy in front of it may have checked the second.
    if (countHeader(request.raw.rawHeaders, 'authorization') > 1) {
      return done(invalidRequest({ detail: 'Send one Authorization header.' }));
    }
    done();
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
