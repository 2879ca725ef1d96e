import type { Database, Queryable } from '../database/database.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { databaseSlow } from './errors.ts';
import { gather } from './gather.ts';

export type AcceptEmail = (email: NewEmail) => Promise<SubmittedEmail>;

interface Parts {
  db: Database;
  submitEmails: (db: Queryable, emails: NewEmail[]) => Promise<SubmittedEmail[]>;
  wakeWorkers: () => void;
}

/**
 * Accepts single letters that need no transaction of their caller's: they share commits. A promise resolves once its
 * letter is on disk. Two batches at most are at the disk at once: measured, a third only makes all of them slower.
 */
export function makeAcceptor({ db, submitEmails, wakeWorkers }: Parts): AcceptEmail {
  const writeBatch = async (emails: NewEmail[]) => {
    const submitted = await submitEmails(db, emails);
    wakeWorkers();
    return submitted;
  };
  return gather(writeBatch, { writers: 2, maxItems: 500, maxSize: 8_000_000, sizeOf: bodyLength, patience });
}

const patience = {
  milliseconds: 1_500,
  exhausted: () => databaseSlow({ detail: 'Try again in a moment.', retryAfterSeconds: 1 }),
};

function bodyLength({ text, html }: NewEmail): number {
  return (text?.length ?? 0) + (html?.length ?? 0);
}
