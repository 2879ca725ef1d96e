import { type ClaimedEmail, leaseSecondsOf } from '../queue/queue.ts';
import type { HeldLetter } from './outcome.ts';

/** The letters a worker holds, from the claim to the end of the attempt. Codes always stand before other mail. */
export class Hold {
  /** Claimed, not loaded. */
  claimed: ClaimedEmail[] = [];
  /** Loaded, not started. */
  loaded: HeldLetter[] = [];
  readonly delivering = new Set<HeldLetter>();

  addClaimed(claims: ClaimedEmail[]): void {
    this.claimed = codesFirst([...this.claimed, ...claims], (claim) => claim);
  }

  /** Moves claims to `loaded`, those that were not lost while they were loaded. */
  addLoaded(letters: HeldLetter[]): void {
    const still = new Set(this.claimed);
    const found = new Set(letters.map(({ claim }) => claim));
    this.claimed = this.claimed.filter((claim) => !found.has(claim));
    this.loaded = codesFirst(
      [...this.loaded, ...letters.filter(({ claim }) => still.has(claim))],
      ({ claim }) => claim,
    );
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

  count(): { otp: number; others: number } {
    const all = this.#all();
    const otp = all.reduce((sum, claim) => sum + (isCode(claim) ? 1 : 0), 0);
    return { otp, others: all.length - otp };
  }

  #all(): ClaimedEmail[] {
    const loaded = this.loaded.map(({ claim }) => claim);
    return [...this.claimed, ...loaded, ...[...this.delivering].map(({ claim }) => claim)];
  }
}

export function isCode({ lane }: ClaimedEmail): boolean {
  return lane === 0;
}

function codesFirst<T>(items: T[], claimOf: (item: T) => ClaimedEmail): T[] {
  if (!items.some((item) => isCode(claimOf(item)))) return items;
  return [...items.filter((item) => isCode(claimOf(item))), ...items.filter((item) => !isCode(claimOf(item)))];
}
