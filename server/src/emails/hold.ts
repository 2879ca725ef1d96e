import { type ClaimedEmail, leaseSecondsOf } from '../queue/queue.ts';
import type { HeldLetter } from './outcome.ts';

/** The letters a worker holds, from the claim to the end of the attempt: codes first, bulk last. */
export class Hold {
  /** Claimed, not loaded. */
  claimed: ClaimedEmail[] = [];
  /** Loaded, not started. */
  loaded: HeldLetter[] = [];
  readonly delivering = new Set<HeldLetter>();

  addClaimed(claims: ClaimedEmail[]): void {
    this.claimed = urgentFirst([...this.claimed, ...claims], (claim) => claim);
  }

  /** Moves claims to `loaded`, those that were not lost while they were loaded. */
  addLoaded(letters: HeldLetter[]): void {
    const still = new Set(this.claimed);
    const found = new Set(letters.map(({ claim }) => claim));
    this.claimed = this.claimed.filter((claim) => !found.has(claim));
    this.loaded = urgentFirst(
      [...this.loaded, ...letters.filter(({ claim }) => still.has(claim))],
      ({ claim }) => claim,
    );
  }

  /** Whether the next claim should be loaded: fewer than `letters` stand before it, and it is a code or there is space. */
  isWorthLoading(letters: number, bytes: number): boolean {
    const [first] = this.claimed;
    if (!first) return false;
    const size = this.loaded.reduce(
      (sum, { text_body: text, html_body: html }) => sum + (text?.length ?? 0) + (html?.length ?? 0),
      0,
    );
    if (size >= bytes && !isCode(first)) return false;
    return this.loaded.filter(({ claim }) => claim.lane <= first.lane).length < letters;
  }

  /** Forgets letters that another worker has, or that no longer exist. */
  drop(claims: ClaimedEmail[]): void {
    if (claims.length === 0) return;
    const gone = new Set(claims);
    this.claimed = this.claimed.filter((claim) => !gone.has(claim));
    this.loaded = this.loaded.filter(({ claim }) => !gone.has(claim));
  }

  /** Takes out what was not started. */
  takeUnstarted(): ClaimedEmail[] {
    const unstarted = [...this.claimed, ...this.loaded.map(({ claim }) => claim)];
    this.claimed = [];
    this.loaded = [];
    return unstarted;
  }

  /** Those whose lease is more than half over. */
  dueForRenewal(): ClaimedEmail[] {
    const now = performance.now();
    return this.#all().filter((claim) => claim.leaseEndsAt - now < leaseSecondsOf(claim) * 500);
  }

  /** By lane. */
  count(): { otp: number; transactional: number; bulk: number } {
    const counts = [0, 0, 0] as [number, number, number];
    for (const { lane } of this.#all()) counts[lane as 0 | 1 | 2]++;
    const [otp, transactional, bulk] = counts;
    return { otp, transactional, bulk };
  }

  #all(): ClaimedEmail[] {
    const loaded = this.loaded.map(({ claim }) => claim);
    return [...this.claimed, ...loaded, ...[...this.delivering].map(({ claim }) => claim)];
  }
}

export function isCode({ lane }: ClaimedEmail): boolean {
  return lane === 0;
}

export function isBulk({ lane }: ClaimedEmail): boolean {
  return lane === 2;
}

/** Stable: within a lane first come, first served. */
function urgentFirst<T>(items: T[], claimOf: (item: T) => ClaimedEmail): T[] {
  return items.sort((a, b) => claimOf(a).lane - claimOf(b).lane);
}
