import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { deliveriesPage, findEvent, triesOf } from './delivery-store.ts';
import { deliveryNotFound } from './errors.ts';
import { readWebhook } from './manage.ts';
import { payloadOf } from './payload.ts';
import { readDelivery, redeliver, redeliverFailed } from './redeliver.ts';
import {
  ByDelivery,
  ById,
  DeliveriesQuery,
  DeliveryAnswer,
  DeliveryDetail,
  Queued,
  RedeliverBody,
  RequeuedMany,
  shownDelivery,
  shownDetail,
} from './schemas.ts';

const tags = ['Webhooks'];
const who = 'Needs the scope `mail:admin`.';

/** The log of what was sent to an endpoint, and sending again. */
export function deliveryRoutes({ db, needs }: { db: Database; needs: Needs }): Routes {
  const onRequest = [needs('mail:admin')];
  return (app) => {
    app.get(
      '/webhooks/:id/deliveries',
      {
        onRequest,
        schema: {
          tags,
          summary: 'What was sent to a webhook, newest first',
          description: `Kept for at least 30 days. ${who}`,
          params: ById,
          querystring: DeliveriesQuery,
          response: { 200: Type.Object({ data: Type.Array(DeliveryAnswer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, ...filter } = request.query;
        const webhook = await readWebhook(db, callerOf(request), request.params.id);
        const rows = await deliveriesPage(db, webhook.id, { ...filter, limit: limit + 1 });
        return { data: rows.slice(0, limit).map(shownDelivery), has_more: rows.length > limit };
      },
    );

    app.get(
      '/webhooks/:id/deliveries/:delivery',
      {
        onRequest,
        schema: {
          tags,
          summary: 'A delivery with its payload and every try',
          description: who,
          params: ByDelivery,
          response: { 200: DeliveryDetail },
        },
      },
      async (request) => {
        // As of one instant, so that the count of attempts is the length of the log.
        return db.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (tx) => {
          const { delivery } = await readDelivery(tx, callerOf(request), request.params);
          const event = await findEvent(tx, delivery.id);
          // Its time came in this very moment.
          if (!event) throw deliveryNotFound();
          return shownDetail(delivery, payloadOf(event), await triesOf(tx, delivery.id));
        });
      },
    );

    app.post(
      '/webhooks/:id/deliveries/:delivery/redeliver',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send a delivery again now',
          description: `Whatever came of it so far, with the same \`webhook-id\`. ${who}`,
          params: ByDelivery,
          response: { 202: Queued },
        },
      },
      async (request, reply) => {
        const { id } = await redeliver(db, callerOf(request), request.params);
        return reply.code(202).send({ id, status: 'pending' });
      },
    );

    app.post(
      '/webhooks/:id/redeliver',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send all that failed since an instant again now',
          description: `Also what waits for its next try. With \`has_more\`, call it again. ${who}`,
          params: ById,
          body: RedeliverBody,
          response: { 202: RequeuedMany },
        },
      },
      async (request, reply) =>
        reply.code(202).send(await redeliverFailed(db, callerOf(request), request.params.id, request.body.since)),
    );
  };
}
