import { callerOf } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { detailOf, readTemplate } from './read-template.ts';
import { authorOf, type TemplateWorld, tags } from './routes.ts';
import { draftOf, updateTemplate } from './save-template.ts';
import { RestoreBody, TemplateDetail, TemplateId, VersionList, VersionsQuery } from './schemas.ts';
import { versionsPage } from './store.ts';

export function templateVersionRoutes(world: TemplateWorld): Routes {
  const { db } = world;
  const onRequest = world.needs('mail:admin');
  return (app) => {
    app.get(
      '/templates/:id/versions',
      {
        onRequest,
        schema: {
          tags,
          summary: 'The versions of a template, newest first',
          params: TemplateId,
          querystring: VersionsQuery,
          response: { 200: VersionList },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const { id } = await readTemplate(db, callerOf(request).tenantId, request.params.id);
        const page = { limit: limit + 1, ...(after === undefined ? {} : { before: after }) };
        const versions = await versionsPage(db, id, page);
        const data = versions.slice(0, limit).map(({ version, languages, createdAt, createdBy }) => ({
          version,
          languages,
          created_at: createdAt.toISOString(),
          created_by: createdBy,
        }));
        return { data, has_more: versions.length > limit };
      },
    );

    app.post(
      '/templates/:id/restore',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Make an old version the newest again, under a new number',
          params: TemplateId,
          body: RestoreBody,
          response: { 200: TemplateDetail },
        },
      },
      async (request) => {
        const author = authorOf(request);
        const present = await readTemplate(db, author.tenantId, request.params.id);
        const old = await readTemplate(db, author.tenantId, present.id, request.body.version);
        return detailOf(await updateTemplate(world, author, old, draftOf(old)));
      },
    );
  };
}
