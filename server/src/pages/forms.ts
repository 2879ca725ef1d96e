/** The routes of pages: one that shows a form, one that takes it and shows it again where something is wrong. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { PosternError } from '../errors.ts';
import type { Html } from '../http/page.ts';
import type { App } from '../http/server.ts';
import { type BrowserCaller, browserCaller, setContinuation } from '../sessions/browser-session.ts';
import { noteOf, type Page, sendPage, showFault } from './show.ts';
import type { Texts } from './texts/en.ts';
import { textsFor } from './texts/texts.ts';
import { ownFormsOnly, type PageWorld } from './world.ts';

const Text = Type.String({ maxLength: 1024 });
/** What a passkey answers. */
const Answer = Type.String({ maxLength: 65_536 });
const Server = Type.Optional(Type.String({ maxLength: 63, description: 'The tenant' }));
const Query = Type.Object(
  {
    server: Server,
    error: Type.Optional(Text),
    login_hint: Type.Optional(Type.String({ maxLength: 1024, description: 'Who is going to sign in' })),
  },
  { additionalProperties: false },
);
const tags = ['Pages'];

export interface Shown {
  path: string;
  summary: string;
  page: (
    texts: Texts,
    query: { server?: string; error?: string; login_hint?: string },
    request: FastifyRequest,
  ) => (Page & { status?: number }) | Promise<Page>;
}

/** A page that is the same for everybody. */
export function showPage(app: App, { path, summary, page }: Shown): void {
  const schema = { tags, summary, produces: ['text/html'], querystring: Query };
  app.get(path, { errorHandler: showFault, schema }, async (request, reply) => {
    const texts = textsFor(request);
    return sendPage(reply, texts, await page(texts, request.query, request));
  });
}

type Fields<Name extends string> = Record<Name, string> & { server?: string };

export interface Form<Name extends string> {
  path: string;
  summary: string;
  fields: readonly Name[];
  /** Does what the form is for, and answers. */
  act: (request: FastifyRequest, reply: FastifyReply, fields: Fields<Name>) => Promise<unknown>;
  /** The page that holds the form, with a note of what is wrong. */
  again: (texts: Texts, note: Html, fields: Fields<Name>, request: FastifyRequest) => Page | Promise<Page>;
}

export function takeForm<const Name extends string>(app: App, world: PageWorld, form: Form<Name>): void {
  addForm(app, world, form, async (request, reply) => {
    const fields = request.body as Fields<Name>;
    try {
      return await form.act(request, reply, fields);
    } catch (error) {
      const texts = textsFor(request);
      const { status, note } = noteOf(texts, reply, error);
      return sendPage(reply, texts, { status, ...(await form.again(texts, note, fields, request)) });
    }
  });
}

/** A page of whoever is signed in; others are sent to sign in. */
export function showOwnPage(
  app: App,
  world: PageWorld,
  { path, summary, produces = 'text/html' }: { path: string; summary: string; produces?: string },
  show: (request: FastifyRequest, reply: FastifyReply, caller: BrowserCaller) => Promise<unknown>,
): void {
  const schema = { tags, summary, produces: [produces] };
  app.get(path, { errorHandler: showFault, schema }, async (request, reply) => {
    const caller = await browserCaller(world, request);
    if (caller) return show(request, reply, caller);
    // An application that had sent the browser here some time ago has nothing to do with it.
    setContinuation(world, reply, undefined);
    return reply.redirect('/sign-in', 302);
  });
}

export interface OwnForm<Name extends string> {
  path: string;
  summary: string;
  fields: readonly Name[];
  act: (request: FastifyRequest, reply: FastifyReply, caller: BrowserCaller, fields: Fields<Name>) => Promise<unknown>;
  again: (texts: Texts, note: Html, caller: BrowserCaller) => Promise<Page>;
}

/** Where whoever is signed in shows again that it is them. */
export const stepUpPath = '/account/step-up';

/** The same for whoever is signed in. */
export function takeOwnForm<const Name extends string>(app: App, world: PageWorld, form: OwnForm<Name>): void {
  addForm(app, world, form, async (request, reply) => {
    const caller = await browserCaller(world, request);
    if (!caller) return reply.redirect('/sign-in', 303);
    try {
      return await form.act(request, reply, caller, request.body as Fields<Name>);
    } catch (error) {
      if (error instanceof PosternError && error.code === 'auth.step_up_required')
        return reply.redirect(stepUpPath, 303);
      const texts = textsFor(request);
      const { status, note } = noteOf(texts, reply, error);
      return sendPage(reply, texts, { status, ...(await form.again(texts, note, caller)) });
    }
  });
}

function addForm(
  app: App,
  world: PageWorld,
  { path, summary, fields }: { path: string; summary: string; fields: readonly string[] },
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): void {
  const properties = Object.fromEntries(fields.map((name) => [name, name === 'response' ? Answer : Text]));
  const schema = {
    tags,
    summary,
    // A cookie at most, and the hook asks where the form comes from.
    security: [],
    consumes: ['application/x-www-form-urlencoded'],
    produces: ['text/html'],
    body: Type.Object({ ...properties, server: Server }, { additionalProperties: false }),
  };
  app.post(path, { onRequest: ownFormsOnly(world), errorHandler: showFault, schema }, handler);
}
