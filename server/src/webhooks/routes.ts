import { Type } from 'typebox';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { noBodyIsEmpty } from '../http/validate.ts';
import { deliveryRoutes } from './delivery-routes.ts';
import { changeWebhook, createWebhook, deleteWebhook, type ManageWorld, readWebhook, rotateSecret } from './manage.ts';
import { sendTest } from './redeliver.ts';
import {
  ById,
  ListQuery,
  NewWebhookBody,
  Queued,
  RotateBody,
  shownWebhook,
  WebhookAnswer,
  WebhookPatch,
  WebhookWithSecret,
} from './schemas.ts';
import { webhooksPage } from './store.ts';

export interface WebhookWorld extends ManageWorld {
  needs: Needs;
}

const tags = ['Webhooks'];
const who = 'Needs the scope `mail:admin`.';

export function webhookRoutes(world: WebhookWorld): Routes {
  const { db } = world;
  const onRequest = [world.needs('mail:admin')];
  return (app) => {
    app.post(
      '/webhooks',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Be told over HTTP what happens to letters and users',
          description: `Calls have the format of Standard Webhooks; the secret that signs them is shown this once. ${who}`,
          body: NewWebhookBody,
          response: { 201: WebhookWithSecret },
        },
      },
      async (request, reply) => {
        const { url, events = null, description = null } = request.body;
        const made = await createWebhook(world, callerOf(request), { url, events, description });
        reply.header('Location', `/webhooks/${made.id}`);
        return reply.code(201).send({ ...shownWebhook(made), secret: made.secret });
      },
    );

    app.get(
      '/webhooks',
      {
        onRequest,
        schema: {
          tags,
          summary: 'List webhooks, newest first',
          description: who,
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(WebhookAnswer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const rows = await webhooksPage(db, callerOf(request).tenantId, page);
        return { data: rows.slice(0, limit).map(shownWebhook), has_more: rows.length > limit };
      },
    );

    app.get(
      '/webhooks/:id',
      {
        onRequest,
        schema: { tags, summary: 'A webhook', description: who, params: ById, response: { 200: WebhookAnswer } },
      },
      async (request) => shownWebhook(await readWebhook(db, callerOf(request), request.params.id)),
    );

    app.patch(
      '/webhooks/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Change, disable or enable a webhook',
          description: `Only what is given changes. ${who}`,
          params: ById,
          body: WebhookPatch,
          response: { 200: WebhookAnswer },
        },
      },
      async (request) => {
        const { enabled, ...change } = request.body;
        const isEnabled = enabled === undefined ? {} : { isEnabled: enabled };
        const { id } = request.params;
        return shownWebhook(await changeWebhook(world, callerOf(request), id, { ...change, ...isEnabled }));
      },
    );

    app.delete(
      '/webhooks/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Delete a webhook, with what waits for it',
          description: who,
          params: ById,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await deleteWebhook(world, callerOf(request), request.params.id);
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/webhooks/:id/secret/rotate',
      {
        onRequest,
        preValidation: noBodyIsEmpty,
        schema: {
          tags,
          summary: 'Take a new secret',
          description: `For \`overlap_seconds\` every call carries a signature by each of the two. ${who}`,
          params: ById,
          body: RotateBody,
          response: { 200: WebhookWithSecret },
        },
      },
      async (request) => {
        const { overlap_seconds: overlap = 86_400 } = request.body;
        const rotated = await rotateSecret(world, callerOf(request), request.params.id, overlap);
        return { ...shownWebhook(rotated), secret: rotated.secret };
      },
    );

    app.post(
      '/webhooks/:id/test',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send the event `webhook.test` to it',
          description: who,
          params: ById,
          response: { 202: Queued },
        },
      },
      async (request, reply) => {
        const id = await sendTest(db, callerOf(request), request.params.id);
        return reply.code(202).send({ id, status: 'pending' });
      },
    );

    deliveryRoutes(world)(app);
  };
}
