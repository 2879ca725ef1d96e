/**
 * Queue: how the ids of due letters reach a worker, and how it holds them. What is due, and since when, is always a fact
 * of the table `email_queue`; a queue only spreads it.
 *
 * `postgres.ts` spreads by asking PostgreSQL itself. Redis and RabbitMQ are meant to stand beside it: a relay puts a few
 * thousand ids into the broker, `claim` takes ids from there and then the leases in PostgreSQL, so that what a broker
 * repeats is sent once (the lease is taken already) and what it loses comes back (no lease was taken).
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

export const otpLeaseSeconds = 10;
// Renewed while the worker lives, so this is how long the letters of one that was killed wait.
export const leaseSeconds = 20;

export function leaseSecondsOf({ lane }: { lane: number }): number {
  return lane === 0 ? otpLeaseSeconds : leaseSeconds;
}
