/** `/unsubscribe`: the page behind the link of a bulk letter, and the one click of a mail program (RFC 8058). */
import { Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { buttonPage, sendFault, sendOutcome, wantsPage } from '../http/link-page.ts';
import type { App, Routes } from '../http/server.ts';
import { readSubscription, unsubscribe } from './unsubscribe.ts';

const Query = Type.Object({ token: Type.String({ maxLength: 1_000 }) });
const bodyLimit = 16 * 1024;

export function unsubscribeRoutes(world: { db: Database; secrets: Secrets }): Routes {
  return (app) => {
    app.get(
      '/unsubscribe',
      {
        schema: {
          tags: ['Mail'],
          summary: 'The page a link to unsubscribe opens; it changes nothing',
          produces: ['text/html'],
          querystring: Query,
        },
      },
      async (request, reply) => {
        const { token } = request.query;
        try {
          const { address } = readSubscription(world.secrets, token);
          return reply.type('text/html').send(
            buttonPage({
              title: 'Unsubscribe',
              text: `Press the button, and ${address} gets no more mailings from this sender.`,
              button: 'Unsubscribe',
              action: `/unsubscribe?token=${encodeURIComponent(token)}`,
              token,
            }),
          );
        } catch (error) {
          return sendFault(reply, error);
        }
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
          const asPage = wantsPage(request);
          try {
            await unsubscribe(world, request.query.token);
            if (asPage) {
              return sendOutcome(reply, { title: 'You are unsubscribed', text: 'You can close this page.' });
            }
            return { unsubscribed: true as const };
          } catch (error) {
            if (asPage) return sendFault(reply, error);
            throw error;
          }
        },
      );
    });
  };
}
