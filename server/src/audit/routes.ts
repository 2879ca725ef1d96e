import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { type AuditEntry, type AuditQuery, listAudit } from './store.ts';

const Nullable = (description: string) => Type.Union([Type.String({ description }), Type.Null()]);

const Entry = Type.Object({
  id: Type.String({ format: 'uuid' }),
  type: Type.String({ examples: ['user.logged_in'] }),
  at: Type.String({ format: 'date-time' }),
  actor: Nullable('`user:…`, `client:…` or `key:…`; null for Postern itself and its command line'),
  user: Nullable('Whom it concerns'),
  ip: Nullable('From where'),
  data: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
});

const Query = Type.Object(
  {
    user: Type.Optional(Type.String({ format: 'uuid', description: 'Whom it concerns' })),
    type: Type.Optional(Type.String({ maxLength: 64 })),
    actor: Type.Optional(Type.String({ maxLength: 200 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'Id of the last entry of the page before' })),
  },
  { additionalProperties: false },
);

export function auditRoutes({ db, needs }: { db: Database; needs: Needs }): Routes {
  return (app) => {
    app.get(
      '/audit',
      {
        onRequest: needs('admin'),
        schema: {
          tags: ['Audit'],
          summary: 'Who did what, and from where; newest first',
          description: 'Each entry was written in the transaction of the act itself. Needs the scope `admin`.',
          security: [{ bearer: [] }],
          querystring: Query,
          response: { 200: Type.Object({ data: Type.Array(Entry), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { user: userId, limit = 20, ...rest } = request.query;
        const { tenantId } = callerOf(request);
        const query = { ...rest, ...(userId === undefined ? {} : { userId }), tenantId, limit: limit + 1 };
        const entries = await listAudit(db, query satisfies AuditQuery);
        return { data: entries.slice(0, limit).map(presentEntry), has_more: entries.length > limit };
      },
    );
  };
}

export function presentEntry({ id, type, at, actor, userId, ip, data }: AuditEntry): Type.Static<typeof Entry> {
  return { id, type, at: at.toISOString(), actor, user: userId, ip, data };
}
