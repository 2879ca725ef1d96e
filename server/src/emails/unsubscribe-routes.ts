/** `/unsubscribe`: the page behind the link of a bulk letter, and the one click of a mail program (RFC 8058). */
import { Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { type LinkPages, wantsPage } from '../http/link-pages.ts';
import type { App, Routes } from '../http/server.ts';
import { readSubscription, unsubscribe } from './unsubscribe.ts';

const Query = Type.Object({ token: Type.String({ maxLength: 1_000 }) });
const bodyLimit = 16 * 1024;

export function unsubscribeRoutes(world: { db: Database; secrets: Secrets; linkPages: LinkPages }): Routes {
  const errorHandler = world.linkPages.fault;
  return (app) => {
    app.get(
      '/unsubscribe',
      {
        errorHandler,
        schema: {
          tags: ['Mail'],
          summary: 'The page a link to unsubscribe opens; it changes nothing',
          produces: ['text/html'],
          querystring: Query,
        },
      },
      async (request, reply) => {
        const { token } = request.query;
        const { address } = readSubscription(world.secrets, token);
        const action = `/unsubscribe?token=${encodeURIComponent(token)}`;
        return world.linkPages.button(request, reply, { about: 'unsubscribe', action, token, address });
      },
    );

    // Mail programs send the click in either form of form (RFC 8058 3.2). What is in it does not matter: the link says
    // all, and that it is a POST tells a click from a scanner.
    app.register(async (scope) => {
      scope.addContentTypeParser('multipart/form-data', { parseAs: 'buffer', bodyLimit }, async () => ({}));
      (scope as App).post(
        '/unsubscribe',
        {
          bodyLimit,
          errorHandler,
          schema: {
            tags: ['Mail'],
            summary: 'Unsubscribe from bulk mail, in one click (RFC 8058)',
            security: [],
            consumes: ['application/x-www-form-urlencoded', 'multipart/form-data'],
            querystring: Query,
            response: { 200: Type.Object({ unsubscribed: Type.Literal(true) }) },
          },
        },
        async (request, reply) => {
          await unsubscribe(world, request.query.token);
          if (wantsPage(request)) return world.linkPages.outcome(request, reply, 'unsubscribed');
          return { unsubscribed: true as const };
        },
      );
    });
  };
}
