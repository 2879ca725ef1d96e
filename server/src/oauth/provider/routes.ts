import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type Provider from 'oidc-provider';
import type { SigningKeys } from '../../crypto/signing-keys.ts';
import { policyForAnyTarget } from '../../http/headers.ts';
import type { LinkPages } from '../../http/link-pages.ts';
import type { App, Routes } from '../../http/server.ts';
import type { Limit, Limits } from '../../limits/limits.ts';
import { sourceOf } from '../../limits/source.ts';
import { refuseSecretInUrl } from '../authenticate-client.ts';
import { sendOAuthError } from '../errors.ts';
import { begunBy } from './interactions.ts';
import { paths } from './paths.ts';
import type { ProviderFor } from './provider-for.ts';

export interface ProviderRoutesWorld {
  keys: SigningKeys;
  publicUrl: string;
  limits: Limits;
  linkPages: LinkPages;
  providerFor: ProviderFor;
}

/** Answers with the library; the body, if there is one, has been read by Fastify. */
export type ServeProvider = (request: FastifyRequest, reply: FastifyReply, path?: string) => Promise<void>;

/** Codes of devices are short enough to be typed: whoever tries them out is stopped (RFC 8628 §5.1). */
const userCodes: Limit = {
  code: 'limits.user_codes',
  what: 'codes of devices from one address',
  burst: 20,
  refillSeconds: 30,
  isBySource: true,
};

const tags = ['OAuth'];
const form = ['application/x-www-form-urlencoded'];

export function makeServe({
  keys,
  publicUrl,
  providerFor,
}: Omit<ProviderRoutesWorld, 'limits' | 'linkPages'>): ServeProvider {
  const { host, protocol, pathname } = new URL(publicUrl);
  const prefix = pathname === '/' ? '' : pathname;
  const answering = new WeakMap<Provider, ReturnType<Provider['callback']>>();
  return async (request, reply, path) => {
    const provider = await providerFor(await keys.fresh());
    const answer = answering.get(provider) ?? provider.callback();
    answering.set(provider, answer);
    const { raw: req } = request;
    reply.hijack();
    copyHeaders(reply, reply.raw);
    // A form of these pages ends at the client's address, which no policy of ours can know.
    reply.raw.setHeader('content-security-policy', policyForAnyTarget);
    // Links and checks of addresses are made from PUBLIC_URL, never from what the request says of itself.
    Object.assign(req.headers, { host, 'x-forwarded-proto': protocol.slice(0, -1), 'x-forwarded-for': request.ip });
    delete req.headers['x-forwarded-host'];
    const [, query] = (req.url ?? '').split(/\?(.*)/s);
    req.url = `${path ?? (req.url ?? '').split('?')[0]?.replace(/(.)\/+$/, '$1')}${query === undefined ? '' : `?${query}`}`;
    Object.assign(req, { originalUrl: `${prefix}${req.url}` });
    if (request.body !== undefined && request.body !== null) giveBody(request);
    await answer(req, reply.raw);
  };
}

function copyHeaders(reply: FastifyReply, response: ServerResponse): void {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
}

/** The library reads forms from the request itself: it gets one, whatever the body was written in. */
function giveBody({ raw, body }: FastifyRequest): void {
  const text = Buffer.from(fieldsOf(body).toString());
  raw.headers['content-type'] = 'application/x-www-form-urlencoded';
  raw.headers['content-length'] = String(text.length);
  delete raw.headers['transfer-encoding'];
  Object.defineProperties(raw, {
    readable: { value: true },
    readableEncoding: { value: null },
    iterator: { value: () => Readable.from([text]) },
  });
}

/** What stands twice in a body stands twice here: the library refuses it. */
function fieldsOf(body: unknown): URLSearchParams {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(body ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null) fields.append(name, typeof one === 'object' ? JSON.stringify(one) : String(one));
    }
  }
  return fields;
}

/** Everything but the token endpoint, which `oauth/routes.ts` shares out. */
export function providerRoutes(
  { limits, linkPages }: Pick<ProviderRoutesWorld, 'limits' | 'linkPages'>,
  serve: ServeProvider,
): Routes {
  return (app) => {
    const pass = (path?: string) => (request: FastifyRequest, reply: FastifyReply) => serve(request, reply, path);
    const refuseTooMany = async (request: FastifyRequest) => limits.check(begunBy(request));
    /** After the answer, so that those who begin nothing wait for nothing. That there are too many is told to who comes next. */
    const countWhere = (hasBegun: (request: FastifyRequest, response: ServerResponse) => boolean) => {
      return async (request: FastifyRequest, reply: FastifyReply) => {
        if (hasBegun(request, reply.raw)) await limits.take(begunBy(request)).catch(() => {});
      };
    };

    app.register(async (plain) => {
      const scope = plain as App;
      scope.setErrorHandler(sendOAuthError);
      // The library has its own words for what is wrong with a request.
      scope.setValidatorCompiler(() => (value: unknown) => ({ value }));

      for (const url of [paths.authorization, '/authorize']) {
        scope.get(
          url,
          {
            onRequest: refuseTooMany,
            onResponse: countWhere(isInteraction),
            errorHandler: linkPages.fault,
            schema: {
              tags,
              summary: 'Where a client sends the browser of whoever shall sign in',
              produces: ['text/html'],
            },
          },
          pass(paths.authorization),
        );
      }
      scope.post(
        paths.authorization,
        { schema: { tags, summary: 'The same as a form', consumes: form, produces: ['text/html'] } },
        // A form of another site brings no cookie of ours; the redirect does.
        async (request, reply) => reply.redirect(`${paths.authorization}?${fieldsOf(request.body)}`, 303),
      );
      // Whoever is on the way already comes to its end, however many begin.
      const onTheWay = { onResponse: countWhere(isInteraction), schema: { hide: true } };
      scope.get(`${paths.authorization}/:uid`, onTheWay, pass());

      for (const url of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
        const summary = 'Where everything of OAuth and OpenID Connect is (RFC 8414)';
        scope.get(url, { schema: { tags, summary } }, async (request, reply) => {
          reply.header('Cache-Control', 'public, max-age=60');
          return serve(request, reply, url);
        });
      }

      const bearer = [{ bearer: [] }];
      scope.get(
        paths.userinfo,
        { schema: { tags, summary: 'Who has signed in at the client (OpenID Connect Core §5.3)', security: bearer } },
        pass(paths.userinfo),
      );
      scope.post(
        paths.userinfo,
        { schema: { tags, summary: 'The same', security: bearer, consumes: form } },
        pass(paths.userinfo),
      );

      const client = [{ basic: [] }, {}];
      const hooks = {
        onRequest: [async (request: FastifyRequest) => refuseSecretInUrl(request), refuseTooMany],
        onResponse: countWhere(isByAnybody),
      };
      scope.post(
        paths.pushed_authorization_request,
        {
          ...hooks,
          schema: {
            tags,
            summary: 'Leave an authorization request beforehand (RFC 9126)',
            security: client,
            consumes: form,
          },
        },
        pass(paths.pushed_authorization_request),
      );
      scope.post(
        paths.device_authorization,
        {
          ...hooks,
          schema: {
            tags,
            summary: 'A code for a device without a browser (RFC 8628)',
            security: client,
            consumes: form,
          },
        },
        pass(paths.device_authorization),
      );

      scope.get(
        paths.end_session,
        {
          schema: {
            tags,
            summary: 'Sign out, sent here by a client (OpenID Connect RP-Initiated Logout)',
            produces: ['text/html'],
          },
        },
        pass(paths.end_session),
      );
      scope.post(
        paths.end_session,
        { schema: { tags, summary: 'The same as a form', consumes: form, produces: ['text/html'] } },
        async (request, reply) => reply.redirect(`${paths.end_session}?${fieldsOf(request.body)}`, 303),
      );
      scope.post(`${paths.end_session}/confirm`, { schema: { hide: true, consumes: form } }, pass());
      scope.get(`${paths.end_session}/success`, { schema: { hide: true } }, pass());

      const page = { tags: ['Pages'], produces: ['text/html'] };
      scope.get(
        paths.code_verification,
        { schema: { ...page, summary: 'Type in the code of a device' } },
        // A code in the address is put into the form, for people to send: the library's own way takes a script.
        async (request, reply) => {
          const { user_code: userCode } = request.query as { user_code?: unknown };
          Object.assign(request.raw, { url: paths.code_verification, userCode });
          return serve(request, reply);
        },
      );
      scope.post(
        paths.code_verification,
        {
          errorHandler: linkPages.fault,
          schema: { ...page, summary: 'Type in the code of a device', consumes: form },
        },
        async (request, reply) => {
          const giveBack = await limits.take([{ limit: userCodes, key: sourceOf(request.ip) }]);
          reply.raw.once('finish', () => reply.raw.statusCode < 400 && giveBack());
          return serve(request, reply, paths.code_verification);
        },
      );
      scope.get(`${paths.code_verification}/:uid`, { schema: { hide: true } }, pass());
    });
  };
}

function isInteraction(_request: FastifyRequest, response: ServerResponse): boolean {
  return String(response.getHeader('location') ?? '').includes('/oauth/interaction/');
}

/** Whether a client that proves nothing has left something here. */
function isByAnybody({ headers, body }: FastifyRequest, { statusCode }: ServerResponse): boolean {
  const { client_secret: secret, client_assertion: assertion } = Object(body) as Record<string, unknown>;
  // An empty one is none to the library, whoever sends it.
  return statusCode < 400 && !headers.authorization && !secret && !assertion;
}
