/**
 * Destinations: what this worker knows of the domains that letters go to, so that one that fails or dawdles slows only
 * itself. A letter's destination is the domain of its recipients; one to several domains has none, and only the limits
 * of the transport hold for it. Nothing of this is written down: each worker learns by itself, and forgets when it ends.
 */
import type { Delivery } from '../transport/transport.ts';
import { kindOf } from './reply-kind.ts';

/** So many letters in a row must have been deferred by a destination before it is left to rest. */
export const faultsBeforeRest = 10;
const firstRestMilliseconds = 30_000;
const longestRestMilliseconds = 30 * 60_000;
/** A code does not wait for the end of a long rest: one is tried each time this has passed. */
const otpRestMilliseconds = 5_000;
/** While a probe is on its way, the other letters look again after this. */
const probeMilliseconds = 10_000;
/** Added to every rest, by this share at most, so that the letters of a rest do not come back together. */
const jitter = 0.25;
/** What has been quiet for so long is forgotten. */
const memoryMilliseconds = 60 * 60_000;

interface Destination {
  delivering: number;
  /** Deferrals in a row. */
  faults: number;
  rests: number;
  /** On the clock of `performance.now()`; a time that is over where it is not resting. */
  restsUntil: number;
  lastTriedAt: number;
  isProbed: boolean;
  /** What it said last. */
  reason: string;
}

/** What a letter may do: go, or wait for so many milliseconds, and why. */
export type Admission = 'go' | { wait: number; reason: string };

export class Destinations {
  readonly #known = new Map<string, Destination>();
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** How many deliveries to it are under way. */
  deliveringTo(domain: string): number {
    return this.#known.get(domain)?.delivering ?? 0;
  }

  /** Whether a letter may go to a destination now. To one that has rested, one goes first, to find out. */
  admit(domain: string, { isOtp, now }: { isOtp: boolean; now: number }): Admission {
    const one = this.#known.get(domain);
    if (!one || one.faults < faultsBeforeRest) return 'go';
    const rest = isOtp ? Math.min(one.restsUntil, one.lastTriedAt + otpRestMilliseconds) : one.restsUntil;
    if (rest <= now && (isOtp || !one.isProbed)) return 'go';
    const wait = Math.max(rest - now, isOtp ? otpRestMilliseconds : probeMilliseconds);
    return { wait: wait * (1 + jitter * this.#random()), reason: `${domain} defers what is sent there: ${one.reason}` };
  }

  begin(domain: string, now: number): void {
    let one = this.#known.get(domain);
    if (!one) {
      one = { delivering: 0, faults: 0, rests: 0, restsUntil: 0, lastTriedAt: now, isProbed: false, reason: '' };
      this.#known.set(domain, one);
    }
    one.delivering++;
    one.lastTriedAt = now;
    if (one.faults >= faultsBeforeRest) one.isProbed = true;
  }

  /** @param delivery what came of it; undefined where it was not sent */
  end(domain: string, delivery: Delivery | undefined, now: number): void {
    const one = this.#known.get(domain);
    if (!one) return;
    one.delivering--;
    const verdict = verdictOf(delivery);
    if (verdict === 'answers') one.faults = one.rests = 0;
    if (verdict === 'defers') {
      one.faults++;
      one.reason = lastWord(delivery);
      // Those that were under way when it began to rest tell nothing new.
      if (one.faults >= faultsBeforeRest && one.restsUntil <= now) this.#rest(one, now);
    }
    one.isProbed = false;
    if (one.delivering === 0 && one.faults === 0) this.#known.delete(domain);
  }

  #rest(one: Destination, now: number): void {
    const rest = Math.min(longestRestMilliseconds, firstRestMilliseconds * 2 ** one.rests++);
    one.restsUntil = now + rest * (1 + jitter * this.#random());
  }

  /** Forgets those that nothing was sent to for long. To be called now and then. */
  forget(now: number): void {
    for (const [domain, one] of this.#known) {
      if (one.delivering === 0 && one.lastTriedAt + memoryMilliseconds < now) this.#known.delete(domain);
    }
  }
}

/**
 * What a delivery says of its destination: any reply but 4xx shows one that does its work, and so do replies about a
 * mailbox. Where the way there failed, as against a letter that found no end, the destination is not to blame.
 */
function verdictOf(delivery: Delivery | undefined): 'answers' | 'defers' | 'nothing' {
  if (!delivery?.reached || delivery.results.length === 0) return 'nothing';
  if (delivery.results.some(({ outcome }) => outcome !== 'deferred' && outcome !== 'uncertain')) return 'answers';
  const kinds = delivery.results.map(({ reply }) => (reply.code === null ? 'trouble' : kindOf(reply)));
  return kinds.every((kind) => kind === 'trouble' || kind === 'rate-limited') ? 'defers' : 'nothing';
}

function lastWord(delivery: Delivery | undefined): string {
  const reply = delivery?.results[0]?.reply;
  return [reply?.code, reply?.enhanced, reply?.text].filter((part) => part !== null && part !== '').join(' ');
}

/** The one domain of these addresses, or undefined where there are several. */
export function destinationOf(addresses: string[]): string | undefined {
  const [first, ...more] = addresses.map((address) => address.slice(address.lastIndexOf('@') + 1).toLowerCase());
  return more.every((one) => one === first) ? first : undefined;
}
