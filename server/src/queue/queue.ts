/**
 * Queue: how the ids of due letters reach a worker, and how it holds them. What is due, and since when, is always a fact
 * of the table `email_queue`; a queue only spreads it. What becomes of a letter is the business of `emails/`.
 *
 * `turns.ts` chooses whose letters come next. `postgres.ts` spreads them by asking PostgreSQL itself. With a broker
 * (`broker-queue.ts`; `redis.ts` and `rabbitmq.ts` speak its language) a relay puts the ids of some thousand chosen letters
 * there; `claim` takes ids that have come back and then the leases, in PostgreSQL. So what a broker repeats is sent once
 * (the lease is taken already) and what it loses comes back (no lease was taken, and an offer runs out).
 */

/** A letter that this worker holds until its lease ends. */
export interface ClaimedEmail {
  id: string;
  tenantId: string;
  /** 0 otp, 1 transactional, 2 bulk. */
  lane: number;
  /** Delivery attempts that ended with an outcome. */
  attempts: number;
  /** Claims since the last outcome, this one included. */
  claims: number;
  /** By the database's clock, when it was claimed. */
  isExpired: boolean;
  /** Every later write about the letter must name it: the lease may have passed to another worker (F9). */
  leaseToken: string;
  /** Never later than the lease really ends; on the clock of `performance.now()`. */
  leaseEndsAt: number;
}

/** How many letters a worker can take. */
export interface Room {
  otp: number;
  transactional: number;
  /** Of what is left of it once transactional letters have been taken. */
  bulk: number;
}

export interface Queue {
  /** Takes due letters, the most urgent first, each under a lease. Resolves at once, with none where none is due. */
  claim: (room: Room) => Promise<ClaimedEmail[]>;
  /** Prolongs leases, also in the objects given. Returns those that another worker has taken over. */
  renew: (claimed: ClaimedEmail[]) => Promise<ClaimedEmail[]>;
  /** Gives back letters whose delivery was not begun; they are due at once, for anyone. */
  release: (claimed: ClaimedEmail[]) => Promise<void>;
}

/** A queue as whoever builds the worker sees it. */
export interface OpenQueue extends Queue {
  /** Says that work was committed. */
  wake: () => void;
  /** Names whom to tell when a claim may find more than the last one did, beside those who know by themselves. */
  onWork: (listener: () => void) => void;
  /** Takes no more in and gives back what was not claimed. Leases can still be renewed and released. */
  close: () => Promise<void>;
}

export const otpLeaseSeconds = 10;
// Renewed while the worker lives, so this is how long the letters of one that was killed wait.
export const leaseSeconds = 20;

export function leaseSecondsOf({ lane }: { lane: number }): number {
  return lane === 0 ? otpLeaseSeconds : leaseSeconds;
}
