import type { Database } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { databaseSlow } from './errors.ts';
import type { LeasedLetters } from './submit.ts';

export type AcceptEmail = (email: NewEmail) => Promise<SubmittedEmail>;

/** The worker of this process, as far as it can take letters past the queue: see delivery/handoff.ts. */
export interface Handoff {
  /** Sets room aside for up to `count` letters; returns for how many. Hand over as many, or give the room back. */
  reserve: (count: number) => number;
  giveBack: (count: number) => void;
  /** @param leasedAt before the lease was written; on the clock of `process.hrtime`, in milliseconds */
  handOver: (letters: LeasedLetters, count: number, leasedAt: number) => void;
}

interface Parts {
  db: Database;
  submitLeased: (
    db: Database,
    emails: NewEmail[],
    isLeased: (email: NewEmail) => boolean,
  ) => Promise<{ submitted: SubmittedEmail[]; leased: LeasedLetters }>;
  /** The present one: a worker that has failed is replaced. */
  handoff: () => Handoff;
  wakeWorkers: () => void;
}

/**
 * Accepts single letters that need no transaction of their caller's: they share commits. A promise resolves once its
 * letter is on disk. Two batches at most are at the disk at once: measured, a third only makes all of them slower.
 *
 * What the worker of this process has room for is accepted under a lease of its own and handed to it after the commit:
 * neither claimed nor loaded, it costs the database half as much. The others go by the queue.
 */
export function makeAcceptor({ db, submitLeased, handoff: current, wakeWorkers }: Parts): AcceptEmail {
  const writeBatch = async (emails: NewEmail[]) => {
    const handoff = current();
    const room = handoff.reserve(emails.reduce((count, email) => count + Number(mayBeHandedOver(email)), 0));
    const leasedAt = Number(process.hrtime.bigint()) / 1e6;
    let left = room;
    try {
      const { submitted, leased } = await submitLeased(db, emails, (email) => mayBeHandedOver(email) && left-- > 0);
      if (room > 0) handoff.handOver(leased, room, leasedAt);
      if (room < emails.length) wakeWorkers();
      return submitted;
    } catch (error) {
      handoff.giveBack(room);
      throw error;
    }
  };
  return gather(writeBatch, { writers: 2, maxItems: 500, maxSize: 8_000_000, sizeOf: bodyLength, patience });
}

/** Telling the other thread of a longer one would hold up this one. */
const longBody = 65_536;

/** Bulk mail takes its turn, and what is scheduled its time. */
function mayBeHandedOver(email: NewEmail): boolean {
  return email.lane === 'transactional' && email.scheduledAt === undefined && bodyLength(email) <= longBody;
}

const patience = {
  milliseconds: 1_500,
  exhausted: () => databaseSlow({ detail: 'Try again in a moment.', retryAfterSeconds: 1 }),
};

function bodyLength({ text, html }: NewEmail): number {
  return (text?.length ?? 0) + (html?.length ?? 0);
}
