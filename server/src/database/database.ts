/**
 * The database as features see it: `postgres` tagged templates over one pool. PostgreSQL holds every fact, so there is
 * no second storage interface; what is interchangeable is where the server comes from (`embedded.ts` or DATABASE_URL).
 */
import type postgres from 'postgres';
import { takeTurns } from '../turns.ts';
import { postgres as library } from './library.ts';

export type Database = postgres.Sql;
export type Transaction = postgres.TransactionSql;
/** The pool or a transaction: whatever the statement should run in. */
export type Queryable = Database | Transaction;

/** How long a transaction waits for a connection before its caller is told to come back (F18). */
const patienceMilliseconds = 3_000;

const planByIndex = { enable_seqscan: 'off', enable_hashjoin: 'off', enable_mergejoin: 'off', enable_material: 'off' };

/**
 * What is given to `begin` may run more than once: see `unlessDeadlocked`.
 *
 * @param url `postgres://…`
 * @param max connections at most; a query beyond them waits for one
 * @param name shown in pg_stat_activity; begins with `postern`
 * @param byIndex plan by indexes alone: for statements that take a few rows by their keys from tables that fill and empty
 *   faster than their statistics are kept. Else a plan made while a table was small reads all of it when it is large.
 */
export function connectDatabase(
  url: string,
  { max, name, byIndex = false }: { max: number; name: string; byIndex?: boolean },
): Database {
  const db = library(url, {
    max,
    connection: {
      application_name: name,
      TimeZone: 'UTC',
      idle_in_transaction_session_timeout: 60_000,
      ...(byIndex && planByIndex),
    },
    connect_timeout: 5,
    // A database that comes back is used at once; the library's own back-off waits up to 20 s.
    backoff: () => 0.2,
    onnotice: () => {},
  });
  // Transactions hold a connection each; single statements share what is left, however many they are.
  const inTurn = takeTurns(Math.max(1, max - 2), patienceMilliseconds, noConnection);
  const begin = db.begin.bind(db) as (...parts: unknown[]) => Promise<unknown>;
  db.begin = ((...parts: unknown[]) => inTurn(() => unlessDeadlocked(() => begin(...parts)))) as typeof db.begin;
  return db;
}

function noConnection(): Error {
  return Object.assign(new Error('No connection to the database was free in time.'), { code: 'POOL_EXHAUSTED' });
}

/** Runs a transaction again that was ended to end a deadlock: nothing of it was done, and the others are past it. */
async function unlessDeadlocked<T>(transaction: () => Promise<T>, timesMore = 2): Promise<T> {
  try {
    return await transaction();
  } catch (error) {
    if (timesMore === 0 || !isDeadlock(error)) throw error;
    return unlessDeadlocked(transaction, timesMore - 1);
  }
}

const unavailableCodes = new Set([
  // of the socket and of the library
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  // of `noConnection`
  'POOL_EXHAUSTED',
  // of PostgreSQL: shutting down, crashed, starting up, too many connections, read-only after a failover
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '25006',
]);

/** Whether the database could not be reached, as against a statement it refused. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && unavailableCodes.has(String(error.code));
}

/** The name of the unique constraint that was violated, if that is what went wrong. */
export function violatedConstraint(error: unknown): string | undefined {
  if (error instanceof library.PostgresError && error.code === '23505') return error.constraint_name;
  return undefined;
}

/** Whether a lock was not to be had within `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof library.PostgresError && error.code === '55P03';
}

/** Whether it was chosen to end a circle of statements that waited for each other's rows: nothing of it was done. */
export function isDeadlock(error: unknown): boolean {
  return error instanceof library.PostgresError && error.code === '40P01';
}

type Value = string | number | boolean | undefined;

/**
 * One column of many rows as the text of a PostgreSQL array, absent values as NULL; null where all of them are, since
 * `unnest` fills up what is shorter than its neighbours. Rows that travel so cost the server half of what JSON does.
 */
export function column<Row>(rows: Row[], value: (row: Row) => Value): string | null {
  let text = '';
  let isEmpty = true;
  for (const row of rows) {
    const one = value(row);
    if (one === undefined) text += ',NULL';
    else {
      isEmpty = false;
      text += typeof one === 'string' ? `,"${escaped(one)}"` : `,${one}`;
    }
  }
  return isEmpty ? null : `{${text.slice(1)}}`;
}

function escaped(text: string): string {
  return text.includes('"') || text.includes('\\') ? text.replace(/["\\]/g, '\\$&') : text;
}
