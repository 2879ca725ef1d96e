import { type Static, Type } from 'typebox';
import { recordAudit } from '../audit/record.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Routes } from '../http/server.ts';
import { createDomain } from './create-domain.ts';
import type { Domain, DomainKey } from './domain.ts';
import { domainNotFound } from './errors.ts';
import type { LookUpTxt } from './look-up.ts';
import { wantedRecords } from './records.ts';
import { rotateDkim } from './rotate-dkim.ts';
import { deleteDomain, domainsPage, findDomain } from './store.ts';
import type { VerifiedDomains } from './verified-domains.ts';
import { verifyDomain } from './verify-domain.ts';

export interface DomainWorld {
  db: Database;
  secrets: Secrets;
  needs: Needs;
  lookUpTxt: LookUpTxt;
  verifiedDomains: VerifiedDomains;
  /** Reads a domain, or throws an Error with a sentence for the caller. */
  parseDomain: (text: string) => string;
}

const closed = { additionalProperties: false } as const;
const nullable = { type: ['string', 'null'] as ['string', 'null'] };
const instant = Type.Unsafe<string | null>({ ...nullable, format: 'date-time' });

const Record = Type.Object({
  purpose: Type.Unsafe<string>({ type: 'string', enum: ['ownership', 'dkim', 'spf', 'dmarc'] }),
  type: Type.Literal('TXT'),
  name: Type.String(),
  value: Type.String({ description: 'What the record should hold; for SPF and DMARC, what it could' }),
  status: Type.Unsafe<string>({
    type: 'string',
    enum: ['unchecked', 'ok', 'missing', 'wrong', 'unreachable'],
    description: 'At the last check; `unreachable` where the DNS gave no answer',
  }),
  found: Type.Array(Type.String(), { description: 'Records of this kind at the last check' }),
  note: Type.String(),
});

const Key = Type.Object({
  selector: Type.String(),
  algorithm: Type.Unsafe<string>({ type: 'string', enum: ['rsa', 'ed25519'] }),
  status: Type.Unsafe<string>({
    type: 'string',
    enum: ['waiting', 'signing', 'retired'],
    description: '`waiting` until its record was seen; records of `retired` keys may go a week later',
  }),
  created_at: Type.String({ format: 'date-time' }),
  retired_at: instant,
});

const Answer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  domain: Type.String(),
  status: Type.Unsafe<string>({ type: 'string', enum: ['pending', 'verified'] }),
  created_at: Type.String({ format: 'date-time' }),
  verified_at: instant,
  checked_at: instant,
  records: Type.Array(Record),
  dkim: Type.Array(Key),
});

const NewDomain = Type.Object({ domain: Type.String({ maxLength: 1_000, examples: ['example.com'] }) }, closed);
const ById = Type.Object({ id: Type.String({ format: 'uuid' }) });
const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'The last `id` of the page before' })),
  },
  closed,
);
const tags = ['Mail'];

export function domainRoutes(world: DomainWorld): Routes {
  const { db } = world;
  const onRequest = world.needs('mail:admin');
  return (app) => {
    app.post(
      '/domains',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Take up a domain to send from',
          description: 'The answer names the DNS records to publish. Then call `POST /domains/{id}/verify`.',
          body: NewDomain,
          response: { 201: Answer },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const domain = readDomain(world, request.body.domain);
        return reply.code(201).send(shown(await createDomain(world, { tenantId, actor, domain })));
      },
    );

    app.get(
      '/domains',
      {
        onRequest,
        schema: {
          tags,
          summary: 'List the domains of the tenant, oldest first',
          querystring: ListQuery,
          response: { 200: Type.Object({ data: Type.Array(Answer), has_more: Type.Boolean() }) },
        },
      },
      async (request) => {
        const { limit = 20, after } = request.query;
        const found = await domainsPage(db, callerOf(request).tenantId, {
          ...(after === undefined ? {} : { after }),
          limit: limit + 1,
        });
        return { data: found.slice(0, limit).map(shown), has_more: found.length > limit };
      },
    );

    app.get(
      '/domains/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'A domain, its DNS records and its keys, as of the last check',
          params: ById,
          response: { 200: Answer },
        },
      },
      async (request) => {
        const found = await findDomain(db, callerOf(request).tenantId, request.params.id);
        if (!found) throw domainNotFound();
        return shown(found);
      },
    );

    app.post(
      '/domains/:id/verify',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Look the DNS records up now',
          description:
            'A domain whose ownership record is there is verified, and stays so. Keys sign from when their record was seen until it is found gone or replaced.',
          params: ById,
          response: { 200: Answer },
        },
      },
      async (request) => {
        const { tenantId, name: actor } = callerOf(request);
        const checked = await verifyDomain(world, { tenantId, actor, id: request.params.id });
        world.verifiedDomains.forget(tenantId);
        return shown(checked);
      },
    );

    app.post(
      '/domains/:id/dkim/rotate',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Make new DKIM keys',
          description:
            'The new records are in the answer. The present keys sign on until `POST /domains/{id}/verify` has seen them.',
          params: ById,
          response: { 200: Answer },
        },
      },
      async (request) => {
        const { tenantId, name: actor } = callerOf(request);
        return shown(await rotateDkim(world, { tenantId, actor, id: request.params.id }));
      },
    );

    app.delete(
      '/domains/:id',
      {
        onRequest,
        schema: {
          tags,
          summary: 'Give a domain up, with its keys',
          params: ById,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { tenantId, name: actor } = callerOf(request);
        const { id } = request.params;
        await db.begin(async (tx) => {
          if (!(await deleteDomain(tx, tenantId, id))) throw domainNotFound();
          await recordAudit(tx, { tenantId, type: 'domain.deleted', actor, data: { domain: id } });
        });
        world.verifiedDomains.forget(tenantId);
        return reply.code(204).send(null);
      },
    );
  };
}

/** @throws invalidRequest */
function readDomain({ parseDomain }: DomainWorld, text: string): string {
  const fault = (message: string) =>
    invalidRequest({ detail: `domain: ${message}`, errors: [{ path: 'domain', message }] });
  let domain: string;
  try {
    domain = parseDomain(text.trim().replace(/\.$/, ''));
  } catch (error) {
    throw fault(error instanceof Error ? error.message : String(error));
  }
  if (!domain.includes('.')) throw fault('has no dot; name a domain like example.com');
  return domain;
}

function shown(domain: Domain): Static<typeof Answer> {
  return {
    id: domain.id,
    domain: domain.domain,
    status: domain.verifiedAt === null ? 'pending' : 'verified',
    created_at: domain.createdAt.toISOString(),
    verified_at: domain.verifiedAt?.toISOString() ?? null,
    checked_at: domain.checkedAt?.toISOString() ?? null,
    records: wantedRecords(domain).map(({ key, purpose, name, value, note }) => ({
      purpose,
      type: 'TXT' as const,
      name,
      value,
      status: domain.findings[key]?.status ?? 'unchecked',
      found: domain.findings[key]?.found ?? [],
      note,
    })),
    dkim: domain.keys.map((key) => ({
      selector: key.selector,
      algorithm: key.algorithm,
      status: keyStatus(domain, key),
      created_at: key.createdAt.toISOString(),
      retired_at: key.retiredAt?.toISOString() ?? null,
    })),
  };
}

function keyStatus({ verifiedAt }: Domain, { publishedAt, retiredAt }: DomainKey): string {
  if (retiredAt !== null) return 'retired';
  return publishedAt !== null && verifiedAt !== null ? 'signing' : 'waiting';
}
