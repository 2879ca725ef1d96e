/**
 * `Idempotency-Key`: the same key and body within 24 h get the first answer again. The key is written in the
 * transaction of the work itself, so that a crash between commit and reply still leaves exactly one result.
 */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import { defineError } from '../errors.ts';
import { invalidRequest } from './problem.ts';

export interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

const keyReused = defineError('idempotency.key_reused', 422, 'This Idempotency-Key was used with another request');
const inProgress = defineError('idempotency.in_progress', 409, 'A request with this Idempotency-Key is in progress');

/** For the `headers` schema of routes that take a key. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same key and body within 24 h return the first answer.' }),
  ),
});

interface StoredKey {
  request_hash: Uint8Array;
  response_sealed: Uint8Array;
}

/** What makes a request the same as another, where its route and body alone do not say. */
export interface RequestIdentity {
  /** One name for all the paths of a call; the route when absent. */
  operation?: string;
  /** Strings that were taken out of the body while it was read, by what stands for them there. */
  taken?: ReadonlyMap<string, { identity: string }>;
}

/**
 * Runs `work` in a transaction and sends its answer; with an Idempotency-Key, at most once.
 *
 * @param work writes through the transaction it is given and returns what to answer; what it throws is not remembered
 * @throws keyReused, inProgress, invalidRequest
 */
export async function answerOnce(
  { db, secrets }: { db: Database; secrets: Secrets },
  request: FastifyRequest,
  reply: FastifyReply,
  tenantId: string,
  work: (tx: Transaction) => Promise<Answer>,
  { operation = `${request.method} ${request.routeOptions.url}`, taken = new Map() }: RequestIdentity = {},
): Promise<FastifyReply> {
  const key = idempotencyKey(request);
  if (key === undefined) {
    const answer = await db.begin((tx) => work(tx));
    return sendAnswer(reply, answer as Answer);
  }
  // An HMAC, not a bare hash: the body may hold a password, which a dump of hashes would let anyone guess at speed.
  const hashes = secrets.hmacs('idempotency', `${operation}\n${canonical(request.body, taken)}`);
  const replay = (stored: StoredKey) => {
    if (!hashes.some((hash) => hash.equals(stored.request_hash))) {
      throw keyReused({ detail: 'Use a new key for a new request; repeat the same body with the same key.' });
    }
    const answer: Answer = JSON.parse(secrets.open('idempotency', stored.response_sealed).toString('utf8'));
    reply.header('Idempotent-Replay', 'true');
    return sendAnswer(reply, answer);
  };

  const known = await findKey(db, tenantId, key);
  if (known) return replay(known);
  const outcome = await db.begin(async (tx) => {
    const [lock] = await tx<{ taken: boolean }[]>`
      SELECT pg_try_advisory_xact_lock(hashtextextended(${`idempotency ${tenantId} ${key}`}, 0)) AS taken`;
    if (!lock?.taken) throw inProgress({ detail: 'Wait for the first answer, then repeat.', retryAfterSeconds: 1 });
    const stored = await findKey(tx, tenantId, key);
    if (stored) return { stored };
    const answer = await work(tx);
    await tx`
      INSERT INTO idempotency_keys (tenant_id, key, request_hash, response_sealed)
      VALUES (${tenantId}, ${key}, ${hashes[0] ?? null}, ${secrets.seal('idempotency', JSON.stringify(answer))})
      ON CONFLICT (tenant_id, key) DO UPDATE SET
        request_hash = excluded.request_hash, response_sealed = excluded.response_sealed, created_at = now()`;
    return { answer };
  });
  if ('stored' in outcome) return replay(outcome.stored as StoredKey);
  return sendAnswer(reply, outcome.answer as Answer);
}

/**
 * How a string of a body counts: as it is, or as its SHA-256 (hex) where it is long, so that it makes no difference
 * whether it was ever in memory as a whole.
 * @param start at least its first 1,025 characters
 */
export function identityOf(start: string, sha256: () => string): string {
  return start.length <= 1_024 ? JSON.stringify(start) : sha256();
}

/** JSON with its keys in order: the same for bodies that say the same. */
function canonical(value: unknown, taken: NonNullable<RequestIdentity['taken']>): string {
  if (typeof value === 'string') {
    return taken.get(value)?.identity ?? identityOf(value, () => createHash('sha256').update(value).digest('hex'));
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, taken)).join()}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item, taken)}`).join()}}`;
}

/** @throws invalidRequest when there is a key but not a usable one */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw invalidRequest({ detail: 'Idempotency-Key must be 1 to 255 printable ASCII characters.' });
  }
  return key;
}

async function findKey(db: Queryable, tenantId: string, key: string): Promise<StoredKey | undefined> {
  const [row] = await db<StoredKey[]>`
    SELECT request_hash, response_sealed FROM idempotency_keys
    WHERE tenant_id = ${tenantId} AND key = ${key} AND created_at > now() - interval '24 hours'`;
  return row;
}

function sendAnswer(reply: FastifyReply, { status, body, headers }: Answer): FastifyReply {
  if (headers) reply.headers(headers);
  return reply.code(status).send(body);
}

/** Removes keys that no longer protect anything. */
export async function purgeIdempotencyKeys(db: Queryable): Promise<void> {
  await db`DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'`;
}
