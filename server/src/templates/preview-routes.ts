import { type Static, Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Transaction } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import { type Caller, callerOf } from '../http/caller.ts';
import { answerOnce, IdempotencyHeaders } from '../http/idempotency.ts';
import type { Routes } from '../http/server.ts';
import { templateNotFound } from './errors.ts';
import { type OwnLetterName, ownLetterDeclaration, ownLetterNames, renderOwnLetter } from './own/own-letters.ts';
import { readTemplate } from './read-template.ts';
import type { TemplateUse } from './renderer.ts';
import { type TemplateWorld, tags } from './routes.ts';
import { invalid } from './save-template.ts';
import { Preview, PreviewBody, TemplateId, TestBody } from './schemas.ts';
import { findTemplate } from './store.ts';
import { bindVariables } from './variables.ts';

export interface PreviewWorld extends TemplateWorld {
  secrets: Secrets;
  /** Accepts a letter, as POST /emails would. */
  sendTemplate: (
    tx: Transaction,
    caller: Caller,
    letter: { to: string; template: TemplateUse },
  ) => Promise<{ id: string; status: string; createdAt: Date }>;
  wakeWorkers: () => void;
}

export function templatePreviewRoutes(world: PreviewWorld): Routes {
  const { db } = world;
  const onRequest = world.needs('mail:admin');
  return (app) => {
    app.post(
      '/templates/:id/preview',
      {
        onRequest,
        schema: {
          tags,
          summary: 'What a letter of this template would say',
          description: 'Sends nothing.',
          params: TemplateId,
          body: PreviewBody,
          response: { 200: Preview },
        },
      },
      (request) => preview(world, callerOf(request).tenantId, { id: request.params.id, ...request.body }),
    );

    app.post(
      '/templates/:id/test',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send a letter of this template to one address',
          params: TemplateId,
          headers: IdempotencyHeaders,
          body: TestBody,
          response: {
            202: Type.Object({
              id: Type.String({ format: 'uuid' }),
              status: Type.String(),
              created_at: Type.String({ format: 'date-time' }),
            }),
          },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const { to, ...use } = request.body;
        await readTemplate(db, caller.tenantId, request.params.id);
        const template = { id: request.params.id, ...use };
        await answerOnce(world, request, reply, caller.tenantId, async (tx) => {
          const { id, status, createdAt } = await world.sendTemplate(tx, caller, { to, template });
          return { status: 202, body: { id, status, created_at: createdAt.toISOString() } };
        });
        world.wakeWorkers();
      },
    );
  };
}

async function preview(
  { db, templates }: PreviewWorld,
  tenantId: string,
  use: TemplateUse & { language?: string },
): Promise<Static<typeof Preview>> {
  const found = await findTemplate(db, tenantId, use.id);
  const own = found ? undefined : ownLetterNames.find((name) => name === use.id);
  if (!found && !own) throw templateNotFound();
  if (found?.kind === 'layout')
    throw invalid({ path: 'id', message: 'is a layout: preview a template that stands in it' });
  const rendered = own ? previewOwn(own, use) : (await templates.render(db, tenantId, [use]))[0];
  if (!rendered || rendered instanceof PosternError) throw rendered ?? templateNotFound();
  const { subject, html = null, text = null } = rendered;
  return { subject, html, text };
}

function previewOwn(name: OwnLetterName, { language, variables = {} }: TemplateUse) {
  const declared = ownLetterDeclaration(name)?.variables ?? [];
  return renderOwnLetter(name, [language ?? []].flat(), bindVariables(name, declared, variables));
}
