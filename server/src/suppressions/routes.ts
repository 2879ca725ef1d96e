import { type Static, Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs, programsOr } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { suppressionNotFound } from './errors.ts';
import { deleteSuppression, findSuppression, insertSuppression, suppressionsPage } from './store.ts';
import { type Suppression, type SuppressionReason, suppressionReasons } from './suppression.ts';

export interface SuppressionWorld {
  db: Database;
  needs: Needs;
  /** Reads an address, or throws an Error with a sentence for the caller. */
  parseAddress: (text: string) => string;
  /** What addresses are compared by. */
  normalizeEmail: (address: string) => string;
}

const closed = { additionalProperties: false } as const;
const Reason = Type.Unsafe<SuppressionReason>({ type: 'string', enum: [...suppressionReasons] });
const nullable = { type: ['string', 'null'] as ['string', 'null'] };

const Entry = Type.Object({
  address: Type.String(),
  reason: Reason,
  detail: Type.Unsafe<string | null>({ ...nullable, description: 'The reply that refused it, or a note' }),
  email_id: Type.Unsafe<string | null>({ ...nullable, description: 'The email that bounced or was unsubscribed from' }),
  unsubscribed_at: Type.Unsafe<string | null>({
    ...nullable,
    format: 'date-time',
    description: 'Since when the reader wants no bulk mail, whatever the reason',
  }),
  created_at: Type.String({ format: 'date-time' }),
});

const NewEntry = Type.Object(
  {
    address: Type.String({ maxLength: 1_000, examples: ['ada@example.com'] }),
    reason: Type.Optional(Type.Unsafe<SuppressionReason>({ ...Reason, default: 'manual' })),
    detail: Type.Optional(Type.String({ maxLength: 1_000, description: 'A note of your own' })),
  },
  closed,
);

const ListQuery = Type.Object(
  {
    address: Type.Optional(Type.String({ maxLength: 1_000 })),
    reason: Type.Optional(Reason),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ maxLength: 1_000, description: 'The last `address` of the page before' })),
  },
  closed,
);

const ByAddress = Type.Object({ address: Type.String() });
const tags = ['Mail'];
const who =
  "For programs with the scope `email`, and users with `mail:admin`: a user's own session does not see the list.";

export function suppressionRoutes(world: SuppressionWorld): Routes {
  const { db } = world;
  const onRequest = [world.needs('email'), programsOr('mail:admin')];
  return (app) => {
    app.get(
      '/suppressions',
      {
        onRequest,
        schema: {
          tags,
          summary: 'List the addresses that get no mail, by address',
          description: who,
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(Entry), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { address, reason, after, limit = 20 } = request.query;
        const rows = await suppressionsPage(db, callerOf(request).tenantId, {
          ...(address === undefined ? {} : { addressNormalized: comparable(world, address) }),
          ...(reason === undefined ? {} : { reason }),
          ...(after === undefined ? {} : { after: readAddress(world, 'after', after).addressNormalized }),
          limit: limit + 1,
        });
        return { data: rows.slice(0, limit).map(shown), has_more: rows.length > limit };
      },
    );

    app.post(
      '/suppressions',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send nothing more to an address',
          description:
            'Answers 200 with the entry there is where the address is listed already. The reason `unsubscribed` stops ' +
            `bulk mail only, every other all mail and takes its place. ${who}`,
          body: NewEntry,
          response: { 200: Entry, 201: Entry },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        const { address, addressNormalized } = readAddress(world, 'address', request.body.address);
        const { reason = 'manual', detail = null } = request.body;
        checkDetail(detail);
        const listed = await insertSuppression(db, { tenantId, address, addressNormalized, reason, detail });
        return reply.code(listed.isNew ? 201 : 200).send(shown(listed));
      },
    );

    app.get(
      '/suppressions/:address',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Whether and why an address gets no mail',
          description: who,
          params: ByAddress,
          response: { 200: Entry },
        },
      },
      async (request) => {
        const found = await findSuppression(db, callerOf(request).tenantId, comparable(world, request.params.address));
        if (!found) throw missing();
        return shown(found);
      },
    );

    app.delete(
      '/suppressions/:address',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Send to an address again',
          description: `What was suppressed meanwhile stays so. ${who}`,
          params: ByAddress,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId } = callerOf(request);
        if (!(await deleteSuppression(db, tenantId, comparable(world, request.params.address)))) throw missing();
        return reply.code(204).send(null);
      },
    );
  };
}

/** @throws invalidRequest */
function readAddress({ parseAddress, normalizeEmail }: SuppressionWorld, path: string, text: string) {
  try {
    const address = parseAddress(text);
    return { address, addressNormalized: normalizeEmail(address) };
  } catch (error) {
    throw fault(path, error instanceof Error ? error.message : String(error));
  }
}

/** In the form addresses are compared; what is no address matches none. */
function comparable({ parseAddress, normalizeEmail }: SuppressionWorld, text: string): string {
  try {
    return normalizeEmail(parseAddress(text));
  } catch {
    return '';
  }
}

/** PostgreSQL keeps neither NUL nor half a surrogate pair. */
function checkDetail(detail: string | null): void {
  if (detail?.includes('\0') || detail?.isWellFormed() === false) throw fault('detail', 'must be plain Unicode text');
}

function shown({ address, reason, detail, emailId, unsubscribedAt, createdAt }: Suppression): Static<typeof Entry> {
  return {
    address,
    reason,
    detail,
    email_id: emailId,
    unsubscribed_at: unsubscribedAt?.toISOString() ?? null,
    created_at: createdAt.toISOString(),
  };
}

function missing() {
  return suppressionNotFound({ detail: 'The list holds no such address.' });
}

function fault(path: string, message: string) {
  return invalidRequest({ detail: `${path}: ${message}`, errors: [{ path, message }] });
}
