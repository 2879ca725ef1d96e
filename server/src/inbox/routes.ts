/** The dev inbox over HTTP: the page for people, JSON for tests. Mounted in development only. */
import { readFileSync } from 'node:fs';
import type { FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Database } from '../database/database.ts';
import type { App, Routes } from '../http/server.ts';
import { messageNotFound } from './errors.ts';
import { watchInbox } from './events.ts';
import { framedHtml, inboxPage } from './page.ts';
import { asOnTheWire } from './receive.ts';
import { deleteMessages, findMessage, findSource, type InboxMessage, listMessages, listSummaries } from './store.ts';

const Message = Type.Object({
  id: Type.String(),
  from: Type.String({ description: 'The header From, or the envelope sender where there is none' }),
  to: Type.Array(Type.String(), { description: 'The envelope recipients' }),
  subject: Type.String(),
  text: Type.Union([Type.String(), Type.Null()]),
  html: Type.Union([Type.String(), Type.Null()]),
  received_at: Type.String(),
});

const Query = Type.Object(
  {
    to: Type.Optional(Type.String({ description: 'Only messages to this recipient, in any letter case' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: '50 unless given' })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'Only messages older than this one' })),
  },
  { additionalProperties: false },
);

const Params = Type.Object({ id: Type.String() });

const tags = ['Dev inbox'];
const file = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

export function inboxRoutes({ db }: { db: Database }): Routes {
  return (app) => {
    addPage(app, db);
    addMessages(app, db);
    addViews(app, db);
    const subscribe = watchInbox(db, app.server);
    app.get('/inbox/events', { schema: { hide: true } }, (_request, reply) =>
      reply.type('text/event-stream').send(subscribe()),
    );
  };
}

function addPage(app: App, db: Database): void {
  app.get('/inbox', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/html').send(inboxPage(await listSummaries(db, 50))),
  );
  app.get('/inbox/inbox.js', { schema: { hide: true } }, (_request, reply) =>
    reply.type('text/javascript').send(file('./inbox.client.js')),
  );
  app.get('/inbox/inbox.css', { schema: { hide: true } }, (_request, reply) =>
    reply.type('text/css').send(file('./inbox.css')),
  );
}

function addMessages(app: App, db: Database): void {
  const list = {
    summary: 'List the mail in the dev inbox, newest first',
    tags,
    querystring: Query,
    response: { 200: Type.Object({ data: Type.Array(Message), has_more: Type.Boolean() }) },
  };
  app.get('/inbox/messages', { schema: list }, async ({ query: { to, after, limit = 50 } }) => {
    // Kept addresses hold no NUL, and PostgreSQL refuses to look for one.
    const recipient = to === undefined ? undefined : asOnTheWire(to.trim().replaceAll('\0', '\uFFFD'));
    const found = await listMessages(db, { to: recipient, after, limit: limit + 1 });
    return { data: found.slice(0, limit).map(toJson), has_more: found.length > limit };
  });

  const one = { summary: 'Read one message', tags, params: Params, response: { 200: Message } };
  app.get('/inbox/messages/:id', { schema: one }, async ({ params }) => toJson(await messageOf(db, params.id)));

  const empty = { summary: 'Empty the dev inbox', tags, response: { 204: Type.Null() } };
  app.delete('/inbox/messages', { schema: empty }, async (_request, reply) => {
    await deleteMessages(db);
    return reply.code(204).send(null);
  });
}

function addViews(app: App, db: Database): void {
  const summary = (what: string) => ({ summary: `Read one message: ${what}`, tags, params: Params });
  app.get('/inbox/messages/:id/html', { schema: summary('its HTML, for a frame') }, async ({ params }, reply) => {
    const { html, text } = await messageOf(db, params.id);
    // Said here, since the message's own charset was that of its source.
    return asHostile(reply).type('text/html; charset=utf-8').send(framedHtml(html, text));
  });
  app.get('/inbox/messages/:id/text', { schema: summary('its text') }, async ({ params }, reply) => {
    const { text } = await messageOf(db, params.id);
    return asHostile(reply)
      .type('text/plain; charset=utf-8')
      .send(text ?? 'This message has no text part.');
  });
  app.get('/inbox/messages/:id/source', { schema: summary('as it came over the wire') }, async ({ params }, reply) => {
    const source = isUuid(params.id) ? await findSource(db, params.id) : undefined;
    if (!source) throw messageNotFound();
    return asHostile(reply).type('text/plain; charset=utf-8').send(source);
  });
}

/**
 * Mail is somebody else's content on our origin. The sandbox takes its scripts, forms and origin away even where it is
 * opened outside the page's frame; its links may open new tabs.
 */
function asHostile(reply: FastifyReply): FastifyReply {
  const policy = [
    'sandbox allow-popups allow-popups-to-escape-sandbox',
    "default-src 'none'",
    'img-src data: https: http:',
    "style-src 'unsafe-inline'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ];
  return reply.header('Content-Security-Policy', policy.join('; ')).header('X-Frame-Options', 'SAMEORIGIN');
}

/** @throws messageNotFound */
async function messageOf(db: Database, id: string): Promise<InboxMessage> {
  const message = isUuid(id) ? await findMessage(db, id) : undefined;
  if (!message) throw messageNotFound();
  return message;
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

function toJson({ receivedAt, ...message }: InboxMessage): Static<typeof Message> {
  return { ...message, received_at: receivedAt.toISOString() };
}
