import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import { type Caller, callerOf, type Needs } from '../http/caller.ts';
import {
  type Answer,
  answerOnce,
  IdempotencyHeaders,
  idempotencyKey,
  type RequestIdentity,
} from '../http/idempotency.ts';
import type { Routes } from '../http/server.ts';
import {
  acceptLetter,
  acceptLetters,
  acceptWithin,
  type Intake,
  unlessRefused,
  whileThereIsRoom,
} from './accept-letters.ts';
import { readAttachment } from './attachments.ts';
import { acceptBatch, checkBatch, lettersOf } from './batch.ts';
import { cancel } from './cancel.ts';
import { checkEmail, checkSend, type SenderWorld, senderRules } from './check-email.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { type FillWorld, fillIn, fillInOne } from './fill-in.ts';
import { describeAttachment, pageOfEmails, readEmail } from './history.ts';
import { retry } from './retry.ts';
import {
  AttachmentId,
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
import type { Uploads } from './upload/upload.ts';

export interface EmailWorld extends SenderWorld, Intake, FillWorld {
  db: Database;
  secrets: Secrets;
  needs: Needs;
  uploads: Uploads;
}

/** 25 MiB of mail in base64 and JSON, also where each "+" is written as "\u002B". */
const bodyLimit = 40 * 1024 * 1024;
const tags = ['Mail'];
const State = Type.Object({ id: Type.String({ format: 'uuid' }), status: Type.String() });

export function emailRoutes(world: EmailWorld): Routes {
  const onRequest = world.needs('email');
  const { preParsing } = world.uploads;
  return (app) => {
    for (const path of ['/emails', '/send-email']) {
      app.post(
        path,
        {
          onRequest,
          preParsing,
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
          return world.uploads.withContents(request, async (contents) => {
            const caller = callerOf(request);
            const email = checkEmail(await senderRules(world, caller), caller, request.body, contents);
            if (idempotencyKey(request) === undefined) {
              // The answer, not the reply: of a reply Fastify waits for the end, which costs more than writing it.
              reply.code(202);
              return answer(
                await acceptLetter(world, email.template ? await fillInOne(world, world.db, email) : email),
              );
            }
            const identity = { operation: 'POST /emails', taken: contents };
            await acceptOnce(world, request, reply, email, identity, (submitted) => ({
              status: 202,
              body: answer(submitted),
            }));
          });
        },
      );
    }

    app.post(
      '/send',
      {
        onRequest,
        preParsing,
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
        return world.uploads.withContents(request, async () => {
          const caller = callerOf(request);
          const email = checkSend(await senderRules(world, caller), caller, request.body);
          if (idempotencyKey(request) !== undefined) {
            await acceptOnce(world, request, reply, email, {}, startQueueEmail);
            return;
          }
          const { status, body, headers } = startQueueEmail(await acceptLetter(world, email));
          reply.code(status).headers(headers);
          return body;
        });
      },
    );

    app.post(
      '/emails/batch',
      {
        onRequest,
        preParsing,
        bodyLimit,
        schema: {
          tags,
          summary: 'Send up to 500 emails, each accepted or refused on its own',
          description: 'Takes `{"emails": […]}` or the bare array; 40 MiB in all.',
          headers: IdempotencyHeaders,
          body: BatchBody,
          response: { 202: BatchAnswer },
        },
      },
      (request, reply) =>
        world.uploads.withContents(request, async (contents) => {
          const caller = callerOf(request);
          const items = Array.isArray(request.body) ? request.body : request.body.emails;
          const checked = checkBatch(await senderRules(world, caller), caller, items, contents);
          if (idempotencyKey(request) === undefined) {
            const data = await acceptBatch(await fillIn(world, world.db, checked), (emails) =>
              acceptLetters(world, emails),
            );
            return reply.code(202).send({ data });
          }
          await whileThereIsRoom(world, lettersOf(checked), () =>
            answerOnce(
              world,
              request,
              reply,
              caller.tenantId,
              async (tx) => ({
                status: 202,
                body: {
                  data: await acceptBatch(await fillIn(world, tx, checked), (emails) =>
                    acceptWithin(world, tx, emails),
                  ),
                },
              }),
              { taken: contents },
            ),
          );
          world.wakeWorkers();
          return reply;
        }),
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

    app.get(
      '/emails/:id/attachments/:position',
      {
        onRequest,
        schema: {
          tags,
          summary: 'What an attachment holds',
          params: AttachmentId,
          response: { 200: { description: 'Its octets', content: { '*/*': { schema: Type.Unsafe<Readable>({}) } } } },
        },
      },
      async (request, reply) => {
        const { id, position } = request.params;
        const attachment = await describeAttachment(world.db, callerOf(request), id, position);
        const pieces = readAttachment(world.db, id, attachment);
        return reply
          .headers({
            'Content-Type': attachment.content_type,
            'Content-Length': attachment.size,
            // Never shown in place: it is whatever somebody sent, and this is the origin of the API.
            'Content-Disposition': `attachment; filename*=UTF-8''${encodeRfc8187(attachment.filename)}`,
          })
          .send(Readable.from(pieces, { objectMode: false }));
      },
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

/** Accepts the letter of a request that has an Idempotency-Key, and answers what `present` makes of it. */
async function acceptOnce(
  world: EmailWorld,
  request: FastifyRequest,
  reply: FastifyReply,
  email: NewEmail,
  identity: RequestIdentity,
  present: (submitted: SubmittedEmail) => Answer,
): Promise<void> {
  const work = async (tx: Transaction) => {
    const [submitted] = await acceptWithin(world, tx, [await fillInOne(world, tx, email)]);
    return present(unlessRefused(submitted));
  };
  await whileThereIsRoom(world, [email], () => answerOnce(world, request, reply, email.tenantId, work, identity));
  world.wakeWorkers();
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

/** RFC 8187 3.2.1: what `encodeURIComponent` leaves and an extended value may not hold. */
function encodeRfc8187(text: string): string {
  return encodeURIComponent(text).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

async function stateOf(db: Queryable, caller: Caller, id: string): Promise<Static<typeof State>> {
  const { status } = await readEmail(db, caller, id);
  return { id, status };
}
