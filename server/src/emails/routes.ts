import { type Static, Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import { type Caller, callerOf, type Needs } from '../http/caller.ts';
import { answerOnce, IdempotencyHeaders, idempotencyKey } from '../http/idempotency.ts';
import type { Routes } from '../http/server.ts';
import type { AcceptEmail } from './accept.ts';
import { acceptBatch } from './batch.ts';
import { cancel } from './cancel.ts';
import { checkEmail, checkSend, type SenderRules } from './check-email.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { pageOfEmails, readEmail } from './history.ts';
import { retry } from './retry.ts';
import {
  BatchAnswer,
  BatchBody,
  EmailDetail,
  EmailId,
  EmailList,
  ListQuery,
  NewEmailBody,
  SendBody,
  Submitted,
} from './schemas.ts';

export interface EmailWorld extends SenderRules {
  db: Database;
  secrets: Secrets;
  needs: Needs;
  submitEmails: (db: Queryable, emails: NewEmail[]) => Promise<SubmittedEmail[]>;
  acceptEmail: AcceptEmail;
  /** Tells the mail workers that letters were committed. */
  wakeWorkers: () => void;
}

/** 25 MiB of mail, in base64 and JSON. */
const bodyLimit = 36 * 1024 * 1024;
const tags = ['Mail'];
const State = Type.Object({ id: Type.String({ format: 'uuid' }), status: Type.String() });

export function emailRoutes(world: EmailWorld): Routes {
  const onRequest = world.needs('email');
  return (app) => {
    for (const path of ['/emails', '/send-email']) {
      app.post(
        path,
        {
          onRequest,
          bodyLimit,
          schema: {
            tags,
            summary: path === '/emails' ? 'Send an email' : 'Send an email (as POST /emails)',
            description:
              'Answers once the email is on disk; it is delivered, and tried again where needed, after that.',
            headers: IdempotencyHeaders,
            body: NewEmailBody,
            response: { 202: Submitted },
          },
        },
        async (request, reply) => {
          const caller = callerOf(request);
          const email = checkEmail(world, caller, request.body);
          if (idempotencyKey(request) === undefined)
            return reply.code(202).send(answer(await world.acceptEmail(email)));
          await answerOnce(world, request, reply, caller.tenantId, async (tx) => ({
            status: 202,
            body: answer(await submitOne(world, tx, email)),
          }));
          world.wakeWorkers();
        },
      );
    }

    app.post(
      '/send',
      {
        onRequest,
        bodyLimit,
        schema: {
          tags,
          summary: 'Send an email, in the form of project B',
          headers: IdempotencyHeaders,
          body: SendBody,
          response: {
            202: { description: 'Location names the email', content: { 'text/plain': { schema: Type.String() } } },
          },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const email = checkSend(world, caller, request.body);
        if (idempotencyKey(request) === undefined) {
          const { status, body, headers } = startQueueEmail(await world.acceptEmail(email));
          return reply.code(status).headers(headers).send(body);
        }
        await answerOnce(world, request, reply, caller.tenantId, async (tx) =>
          startQueueEmail(await submitOne(world, tx, email)),
        );
        world.wakeWorkers();
      },
    );

    app.post(
      '/emails/batch',
      {
        onRequest,
        bodyLimit,
        schema: {
          tags,
          summary: 'Send up to 500 emails, each accepted or refused on its own',
          description: 'Takes `{"emails": […]}` or the bare array.',
          headers: IdempotencyHeaders,
          body: BatchBody,
          response: { 202: BatchAnswer },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const items = Array.isArray(request.body) ? request.body : request.body.emails;
        if (idempotencyKey(request) === undefined) {
          const data = await acceptBatch(world, world.db, caller, items);
          world.wakeWorkers();
          return reply.code(202).send({ data });
        }
        await answerOnce(world, request, reply, caller.tenantId, async (tx) => ({
          status: 202,
          body: { data: await acceptBatch(world, tx, caller, items) },
        }));
        world.wakeWorkers();
      },
    );

    app.get(
      '/emails',
      {
        onRequest,
        schema: {
          tags,
          summary: 'List emails, newest first',
          description: 'With the scope `mail:admin` all of the tenant, else those this caller sent.',
          querystring: ListQuery,
          response: { 200: EmailList },
        },
      },
      (request) => pageOfEmails(world.db, callerOf(request), request.query),
    );

    app.get(
      '/emails/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'One email with its recipients and timeline',
          params: EmailId,
          response: { 200: EmailDetail },
        },
      },
      (request) => readEmail(world.db, callerOf(request), request.params.id),
    );

    const changes = {
      cancel: 'Cancel an email that waits and that no worker has taken up',
      retry: 'Send an email again now, to the recipients that did not get it',
    } as const;
    const operations = { cancel, retry };
    for (const name of ['cancel', 'retry'] as const) {
      app.post(
        `/emails/:id/${name}`,
        { onRequest, schema: { tags, summary: changes[name], params: EmailId, response: { 200: State } } },
        async (request) => {
          const caller = callerOf(request);
          await operations[name](world, caller, request.params.id);
          return stateOf(world.db, caller, request.params.id);
        },
      );
    }
  };
}

async function submitOne(world: EmailWorld, tx: Queryable, email: NewEmail): Promise<SubmittedEmail> {
  const [submitted] = await world.submitEmails(tx, [email]);
  if (!submitted) throw new Error('submitEmails returned nothing for a letter.');
  return submitted;
}

function answer({ id, status, createdAt }: SubmittedEmail): Static<typeof Submitted> {
  return { id, status, created_at: createdAt.toISOString() };
}

function startQueueEmail({ id }: SubmittedEmail) {
  return {
    status: 202 as const,
    body: 'Start Queue Email',
    headers: { 'Content-Type': 'text/plain; charset=utf-8', Location: `/emails/${id}` },
  };
}

async function stateOf(db: Queryable, caller: Caller, id: string): Promise<Static<typeof State>> {
  const { status } = await readEmail(db, caller, id);
  return { id, status };
}
