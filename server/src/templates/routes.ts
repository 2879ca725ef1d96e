import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { type Caller, callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { templateInUse } from './errors.ts';
import { detailOf, readTemplate, showTemplate, summaryOf } from './read-template.ts';
import type { TemplateRenderer } from './renderer.ts';
import { type Author, createTemplate, type Draft, draftOf, updateTemplate } from './save-template.ts';
import {
  ListQuery,
  NewTemplateBody,
  PatchTemplateBody,
  PutTemplateBody,
  TemplateDetail,
  TemplateId,
  TemplateList,
  VersionQuery,
} from './schemas.ts';
import { deleteTemplate, templatesPage, usersOfLayout } from './store.ts';
import type { Content, Template } from './template.ts';

export interface TemplateWorld {
  db: Database;
  needs: Needs;
  templates: TemplateRenderer;
}

/** Sources of many languages. */
const bodyLimit = 8 * 1024 * 1024;
export const tags = ['Templates'];

export function templateRoutes(world: TemplateWorld): Routes {
  const { db } = world;
  const onRequest = world.needs('mail:admin');
  return (app) => {
    app.post(
      '/templates',
      {
        onRequest,
        bodyLimit,
        schema: {
          tags,
          summary: 'Make a template',
          description:
            'Its text is Liquid, as HTML or MJML, in as many languages as you like. A letter names it in the field ' +
            '`template` of `POST /emails`.',
          body: NewTemplateBody,
          response: { 201: TemplateDetail },
        },
      },
      async (request, reply) => {
        const made = await createTemplate(world, authorOf(request), draftFrom(request.body));
        return reply.code(201).header('Location', `/templates/${made.id}`).send(detailOf(made));
      },
    );

    app.get(
      '/templates',
      {
        onRequest,
        schema: { tags, summary: 'List templates, by name', querystring: ListQuery, response: { 200: TemplateList } },
      },
      async (request) => {
        const { limit = 20, ...filter } = request.query;
        const found = await templatesPage(db, callerOf(request).tenantId, { ...filter, limit: limit + 1 });
        return { data: found.slice(0, limit).map(summaryOf), has_more: found.length > limit };
      },
    );

    app.get(
      '/templates/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'One template, in its newest or another version',
          description: "Also shows, by its name, a letter of Postern's own that no template stands in for.",
          params: TemplateId,
          querystring: VersionQuery,
          response: { 200: TemplateDetail },
        },
      },
      (request) => showTemplate(db, callerOf(request).tenantId, request.params.id, request.query.version),
    );

    app.put(
      '/templates/:id',
      {
        onRequest,
        bodyLimit,
        schema: {
          tags,
          summary: 'Replace a template by a new version',
          description: 'What is left out is empty in the new version; the name stays.',
          params: TemplateId,
          body: PutTemplateBody,
          response: { 200: TemplateDetail },
        },
      },
      async (request) => {
        const author = authorOf(request);
        const present = await readTemplate(db, author.tenantId, request.params.id);
        const draft = draftFrom({ ...request.body, name: request.body.name ?? present.name });
        return detailOf(await updateTemplate(world, author, present, draft));
      },
    );

    app.patch(
      '/templates/:id',
      {
        onRequest,
        bodyLimit,
        schema: {
          tags,
          summary: 'Change parts of a template, as a new version',
          params: TemplateId,
          body: PatchTemplateBody,
          response: { 200: TemplateDetail },
        },
      },
      async (request) => {
        const author = authorOf(request);
        const present = await readTemplate(db, author.tenantId, request.params.id);
        return detailOf(await updateTemplate(world, author, present, patched(present, request.body)));
      },
    );

    app.delete(
      '/templates/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Delete a template with all its versions',
          description: 'Letters that were accepted before go out all the same. A layout in use answers 409.',
          params: TemplateId,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id } = await readTemplate(db, callerOf(request).tenantId, request.params.id);
        const users = await usersOfLayout(db, id);
        if (users.length > 0) throw templateInUse({ detail: `Templates stand in this layout: ${users.join(', ')}.` });
        await deleteTemplate(db, id);
        return reply.code(204).send(null);
      },
    );
  };
}

export function authorOf(request: Parameters<typeof callerOf>[0]): Author {
  const { tenantId, name }: Caller = callerOf(request);
  return { tenantId, name };
}

function draftFrom({ default_language: defaultLanguage, ...rest }: NewTemplateBody): Draft {
  return { ...rest, ...(defaultLanguage === undefined ? {} : { defaultLanguage }) };
}

function patched(present: Template, { contents = {}, variables, ...changes }: PatchTemplateBody): Draft {
  const { variables: declared, ...before } = draftOf(present);
  const merged: Record<string, Content> = { ...before.contents };
  for (const [language, content] of Object.entries(contents)) {
    if (content === null) delete merged[language.toLowerCase()];
    else merged[language.toLowerCase()] = content;
  }
  const { default_language: defaultLanguage = before.defaultLanguage, ...others } = changes;
  const now = variables === null ? undefined : (variables ?? declared);
  return {
    ...before,
    ...others,
    contents: merged,
    ...(defaultLanguage === undefined ? {} : { defaultLanguage }),
    ...(now === undefined ? {} : { variables: now }),
  };
}
