/**
 * The database as features see it: `postgres` tagged templates over one pool. PostgreSQL holds every fact, so there is
 * no second storage interface; what is interchangeable is where the server comes from (`embedded.ts` or DATABASE_URL).
 */
import postgres from 'postgres';

export type Database = postgres.Sql;
export type Transaction = postgres.TransactionSql;
/** The pool or a transaction: whatever the statement should run in. */
export type Queryable = Database | Transaction;

/**
 * @param url `postgres://…`
 * @param max connections at most; a query beyond them waits for one
 * @param name shown in pg_stat_activity; begins with `postern`
 */
export function connectDatabase(url: string, { max, name }: { max: number; name: string }): Database {
  return postgres(url, {
    max,
    connection: { application_name: name, TimeZone: 'UTC', idle_in_transaction_session_timeout: 60_000 },
    connect_timeout: 5,
    // A database that comes back is used at once; the library's own back-off waits up to 20 s.
    backoff: () => 0.2,
    onnotice: () => {},
  });
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
  if (error instanceof postgres.PostgresError && error.code === '23505') return error.constraint_name;
  return undefined;
}

/** Whether a lock was not to be had within `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.code === '55P03';
}
