import { type ClaimedEmail, leaseSecondsOf } from '../queue/queue.ts';
import type { HeldLetter } from './outcome.ts';

export type Lane = 0 | 1 | 2;
export const lanes: readonly Lane[] = [0, 1, 2];
/** Letters of a slow destination that stay at hand. */
const keptAside = 20;
const perLane = <T>(make: () => T): [T, T, T] => [make(), make(), make()];

/**
 * The letters a worker holds, from the claim to the end of the attempt. Codes come first and bulk last; within a lane
 * they stay in order, but for those set aside because their destination has enough under way.
 */
export class Hold {
  readonly #claimed = perLane<ClaimedEmail[]>(() => []);
  #loading = new Set<ClaimedEmail>();
  readonly #ready = perLane<HeldLetter[]>(() => []);
  /** By destination. */
  readonly #aside = perLane(() => new Map<string, HeldLetter[]>());
  readonly #delivering = new Map<HeldLetter, number>();
  /** Of the letters that are loaded and not begun, in octets of their bodies. */
  #loadedBytes = 0;
  readonly #counts = perLane(() => 0);

  /** All of a lane. */
  count(lane: Lane): number {
    return this.#counts[lane];
  }

  /** Loaded, and not set aside. */
  readyCount(): number {
    return this.#ready[0].length + this.#ready[1].length + this.#ready[2].length;
  }

  claimedCount(): number {
    return this.#claimed[0].length + this.#claimed[1].length + this.#claimed[2].length;
  }

  deliveringCount(): number {
    return this.#delivering.size;
  }

  /** Octets of bodies of the letters that are ready to go. */
  loadedBytes(): number {
    return this.#loadedBytes;
  }

  isEmpty(): boolean {
    return this.#counts.every((count) => count === 0);
  }

  addClaimed(claims: ClaimedEmail[]): void {
    for (const claim of claims) {
      this.#claimed[claim.lane as Lane].push(claim);
      this.#counts[claim.lane as Lane]++;
    }
  }

  /** Takes in letters that come with all there is of them. */
  addReady(letters: HeldLetter[]): void {
    for (const letter of letters) {
      const lane = letter.claim.lane as Lane;
      this.#ready[lane].push(letter);
      this.#counts[lane]++;
      this.#loadedBytes += bytesOf(letter);
    }
  }

  /** Whether the next claim should be loaded: fewer than `letters` stand before it, and it is a code or there is space. */
  isWorthLoading(letters: number, bytes: number): boolean {
    const lane = lanes.find((one) => this.#claimed[one].length > 0);
    if (lane === undefined || (this.#loadedBytes >= bytes && lane !== 0)) return false;
    return lanes.slice(0, lane + 1).reduce<number>((sum, one) => sum + this.#ready[one].length, 0) < letters;
  }

  /** Takes claims out to load them, the most urgent first; `endLoading` must follow. */
  beginLoading(count: number): ClaimedEmail[] {
    const claims: ClaimedEmail[] = [];
    for (const lane of lanes) claims.push(...this.#claimed[lane].splice(0, count - claims.length));
    this.#loading = new Set(claims);
    return claims;
  }

  /** Takes in what was loaded, but for what was lost meanwhile; `rest` goes back to be loaded later. */
  endLoading(letters: HeldLetter[], rest: ClaimedEmail[]): void {
    for (const letter of letters) {
      if (!this.#loading.has(letter.claim)) continue;
      this.#ready[letter.claim.lane as Lane].push(letter);
      this.#loadedBytes += bytesOf(letter);
    }
    for (const lane of lanes) {
      this.#claimed[lane].unshift(...rest.filter((claim) => claim.lane === lane && this.#loading.has(claim)));
    }
    this.#loading.clear();
  }

  /**
   * Takes out the next letter of a lane.
   * @param mayGo whether a letter to this destination may go before those to others
   */
  take(lane: Lane, mayGo: (destination: string) => boolean): HeldLetter | undefined {
    const letter = this.#takeAside(lane, mayGo) ?? this.#takeReady(lane, mayGo);
    if (letter) this.#loadedBytes -= bytesOf(letter);
    return letter;
  }

  #takeAside(lane: Lane, mayGo: (destination: string) => boolean): HeldLetter | undefined {
    for (const [destination, letters] of this.#aside[lane]) {
      if (mayGo(destination)) return this.#takeFrom(lane, destination, letters);
    }
    return undefined;
  }

  #takeReady(lane: Lane, mayGo: (destination: string) => boolean): HeldLetter | undefined {
    const ready = this.#ready[lane];
    for (let letter = ready.shift(); letter; letter = ready.shift()) {
      const { destination } = letter;
      if (destination === undefined || mayGo(destination)) return letter;
      const aside = this.#aside[lane].get(destination);
      if (aside) aside.push(letter);
      else this.#aside[lane].set(destination, [letter]);
    }
    return undefined;
  }

  #takeFrom(lane: Lane, destination: string, letters: HeldLetter[]): HeldLetter | undefined {
    const letter = letters.shift();
    if (letters.length === 0) this.#aside[lane].delete(destination);
    return letter;
  }

  /** Takes out what is set aside, but for a few of each destination, where it has been waiting since before `since`. */
  takeSurplus(since: number): ClaimedEmail[] {
    const surplus = this.#aside.flatMap((destinations) =>
      [...destinations.values()].flatMap((letters) => {
        const [oldest] = letters;
        return oldest && oldest.loadedAt < since ? letters.slice(keptAside) : [];
      }),
    );
    const claims = surplus.map(({ claim }) => claim);
    this.drop(claims);
    return claims;
  }

  begin(letter: HeldLetter, now: number): void {
    this.#delivering.set(letter, now);
  }

  /** The end of a letter that was taken out. */
  end(letter: HeldLetter): void {
    this.#delivering.delete(letter);
    this.#forget(letter.claim);
  }

  /** How many deliveries began before `since`. */
  deliveringSince(since: number): number {
    let count = 0;
    // In the order in which they began.
    for (const beganAt of this.#delivering.values()) {
      if (beganAt > since) break;
      count++;
    }
    return count;
  }

  /** Forgets letters that another worker has, or that no longer exist. One on its way ends as it ends. */
  drop(claims: ClaimedEmail[]): void {
    if (claims.length === 0) return;
    const gone = new Set(claims);
    const isGone = (claim: ClaimedEmail) => {
      if (gone.has(claim)) this.#forget(claim);
      return gone.has(claim);
    };
    for (const claim of this.#loading) if (isGone(claim)) this.#loading.delete(claim);
    for (const lane of lanes) {
      keep(this.#claimed[lane], (claim) => !isGone(claim));
      for (const letters of [this.#ready[lane], ...this.#aside[lane].values()]) {
        keep(letters, (letter) => {
          if (!isGone(letter.claim)) return true;
          this.#loadedBytes -= bytesOf(letter);
          return false;
        });
      }
    }
  }

  /** Takes out what was not begun. */
  takeUnstarted(): ClaimedEmail[] {
    const unstarted = this.#unstarted();
    this.drop(unstarted);
    return unstarted;
  }

  /** Those whose lease is more than half over. */
  dueForRenewal(): ClaimedEmail[] {
    const now = performance.now();
    const all = [...this.#unstarted(), ...[...this.#delivering.keys()].map(({ claim }) => claim)];
    return all.filter((claim) => claim.leaseEndsAt - now < leaseSecondsOf(claim) * 500);
  }

  #unstarted(): ClaimedEmail[] {
    const loaded = lanes.flatMap((lane) => [this.#ready[lane], ...this.#aside[lane].values()]).flat();
    return [...this.#loading, ...this.#claimed.flat(), ...loaded.map(({ claim }) => claim)];
  }

  #forget({ lane }: ClaimedEmail): void {
    this.#counts[lane as Lane]--;
  }
}

function bytesOf({ text_body: text, html_body: html }: HeldLetter): number {
  return (text?.length ?? 0) + (html?.length ?? 0);
}

/** Keeps, in place, what `isKept` says. */
function keep<T>(items: T[], isKept: (item: T) => boolean): void {
  const kept = items.filter(isKept);
  if (kept.length < items.length) items.splice(0, items.length, ...kept);
}

export function isCode({ lane }: ClaimedEmail): boolean {
  return lane === 0;
}

export function isBulk({ lane }: ClaimedEmail): boolean {
  return lane === 2;
}
