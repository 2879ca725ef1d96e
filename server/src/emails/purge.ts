/**
 * Purging mail history: letters that were accepted before an instant and are at their end, with recipients, bodies and
 * events. Months that lie wholly before it are dropped, which costs the same however many letters they hold; in the month
 * it falls into, and where an old month still has an unfinished letter, rows are deleted a batch at a time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, isLockTimeout, type Queryable, type Transaction } from '../database/database.ts';
import { emailStatuses } from './email.ts';

/** Partitioned by month on the letter's id. */
export const historyTables = [
  'emails',
  'email_recipients',
  'email_bodies',
  'email_attachments',
  'email_events',
  'email_exceptions',
];

/** What is to go from one month. */
export interface MonthToPurge {
  /** As it ends its partitions' names, e.g. `2026_08`. */
  month: string;
  /** Ids from here on… */
  from: string;
  /** …and before this one. */
  until: string;
  /** Letters at their end, which go. */
  finished: number;
  /** Letters still to be delivered, which stay. */
  unfinished: number;
  /** Whether nothing of it is to stay. */
  isWhole: boolean;
}

export type Progress = (done: { month: string; letters: number; dropped: boolean }) => void;

const batchSize = 2_000;
const maxLockTries = 30;
const restMilliseconds = 1_000;

/** Which letters a purge would take, by month, the oldest first. */
export async function planPurge(db: Queryable, before: Date): Promise<MonthToPurge[]> {
  const months = await monthsBefore(db, before);
  const plan: MonthToPurge[] = [];
  for (const month of months) {
    const { finished, unfinished } = await countLetters(db, month);
    if (!month.isPast && finished === 0) continue;
    plan.push({ ...month, finished, unfinished, isWhole: month.isPast && unfinished === 0 });
  }
  return plan;
}

/**
 * Does what `planPurge` says, beside a running server.
 * @returns how many letters went
 */
export async function purge(db: Database, plan: MonthToPurge[], onProgress: Progress = () => {}): Promise<number> {
  let letters = 0;
  for (const one of plan) {
    const dropped = one.isWhole && (await dropMonth(db, one));
    const count = dropped ? one.finished : await deleteFinished(db, one, onProgress);
    if (dropped) onProgress({ month: one.month, letters: count, dropped });
    letters += count;
  }
  return letters;
}

type Month = Pick<MonthToPurge, 'month' | 'from' | 'until'>;

async function monthsBefore(db: Queryable, before: Date): Promise<(Month & { isPast: boolean })[]> {
  return db<(Month & { isPast: boolean })[]>`
    SELECT right(c.relname, 7) AS month, bound[1]::uuid AS "from",
           least(bound[2]::uuid, uuid7_floor(${before})) AS until, bound[2]::uuid <= uuid7_floor(${before}) AS "isPast"
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                    'FROM \\(''([0-9a-f-]{36})''\\) TO \\(''([0-9a-f-]{36})''\\)') AS bound
    WHERE i.inhparent = 'emails'::regclass AND bound[1]::uuid < uuid7_floor(${before})
    ORDER BY "from"`;
}

/** Both the status and the queue have to say so: neither alone may cost a letter that is on its way. */
function isFinished(db: Queryable) {
  return db`e.status NOT IN ('scheduled', 'queued', 'sending', 'deferred')
            AND NOT EXISTS (SELECT FROM email_queue q WHERE q.email_id = e.id)`;
}

async function countLetters(db: Queryable, { from, until }: Month): Promise<{ finished: number; unfinished: number }> {
  const [row] = await db<{ finished: number; unfinished: number }[]>`
    SELECT count(*) FILTER (WHERE ${isFinished(db)})::int AS finished,
           count(*) FILTER (WHERE NOT (${isFinished(db)}))::int AS unfinished
    FROM emails e WHERE e.id >= ${from} AND e.id < ${until}`;
  return row ?? { finished: 0, unfinished: 0 };
}

/**
 * Drops the partitions of a month, unless one of its letters has been taken up again since they were counted.
 *
 * Dropping needs the tables for itself, and whoever waits for that lock makes everybody else wait behind it. So it waits
 * 0.3 s at most — less than PostgreSQL's deadlock check, so that it is never another who has to give way — and tries
 * again after a rest.
 */
async function dropMonth(db: Database, month: Month): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      return await db.begin((tx) => dropUnlessReopened(tx, month));
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      if (tries === maxLockTries) {
        throw new Error('Some transaction holds the mail history without end. End it, or try again later.', {
          cause: error,
        });
      }
      await sleep(restMilliseconds);
    }
  }
}

async function dropUnlessReopened(tx: Transaction, { month, from, until }: Month): Promise<boolean> {
  await tx`SET LOCAL lock_timeout = '300ms'`;
  await tx`
    LOCK TABLE ONLY emails, ONLY email_recipients, ONLY email_bodies, ONLY email_attachments, ONLY email_events,
               ONLY email_exceptions
    IN ACCESS EXCLUSIVE MODE`;
  const reopened = await tx`SELECT FROM email_queue WHERE email_id >= ${from} AND email_id < ${until} LIMIT 1`;
  if (reopened.length > 0) return false;
  // A month that is older than one of the tables has no partition there.
  for (const table of historyTables) await tx`DROP TABLE IF EXISTS ${tx(`${table}_${month}`)}`;
  return true;
}

async function deleteFinished(db: Database, month: Month, onProgress: Progress): Promise<number> {
  let letters = 0;
  let from: string | null = month.from;
  while (from !== null) {
    const batch = await deleteBatch(db, from, month.until);
    letters += batch.letters;
    from = batch.last;
    if (batch.letters > 0) onProgress({ month: month.month, letters, dropped: false });
  }
  return letters;
}

/** A letter that is being taken up again right now is locked, and skipped; one that just was, is queued by then. */
async function deleteBatch(
  db: Database,
  from: string,
  until: string,
): Promise<{ letters: number; last: string | null }> {
  const [row] = await db<{ letters: number; last: string | null }[]>`
    WITH finished AS MATERIALIZED (
      SELECT e.id, e.tenant_id FROM emails e
      WHERE e.id >= ${from} AND e.id < ${until} AND ${isFinished(db)}
      ORDER BY e.id LIMIT ${batchSize}
      FOR UPDATE OF e SKIP LOCKED
    ), recipients AS (
      DELETE FROM email_recipients r USING finished f WHERE r.email_id = f.id
    ), bodies AS (
      DELETE FROM email_bodies b USING finished f WHERE b.email_id = f.id
    ), attachments AS (
      DELETE FROM email_attachments a USING finished f WHERE a.email_id = f.id
    ), events AS (
      DELETE FROM email_events v USING finished f WHERE v.email_id = f.id
    ), exceptions AS (
      -- With every status there is, for the sake of the index.
      DELETE FROM email_exceptions x USING finished f
      WHERE x.tenant_id = f.tenant_id AND x.status IN ${db([...emailStatuses])} AND x.email_id = f.id
    ), letters AS (
      DELETE FROM emails e USING finished f WHERE e.id = f.id
    )
    SELECT count(*)::int AS letters, (SELECT id FROM finished ORDER BY id DESC LIMIT 1) AS last FROM finished`;
  return row ?? { letters: 0, last: null };
}
