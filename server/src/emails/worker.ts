/**
 * The mail worker: claims due letters, loads them in batches, delivers several at once, and settles. It survives the
 * database and the relay going away: while outcomes cannot be recorded it begins nothing, and while no relay can be
 * reached it takes a letter a second to find out, and leaves the others where they can be seen and canceled.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Secrets } from '../crypto/secrets.ts';
import { type Database, isUnavailable } from '../database/database.ts';
import type { Queue, Room } from '../queue/queue.ts';
import type { Transport } from '../transport/transport.ts';
import { deliver } from './deliver.ts';
import { dropOrphans, hastenUnreached, loadLetters } from './delivery-store.ts';
import { Hold, isBulk, isCode } from './hold.ts';
import type { HeldLetter } from './outcome.ts';
import { makeSettler } from './settle.ts';

export interface MailWorker {
  /** Says that work was committed; without it the worker looks by itself a little later. */
  wake: () => void;
  /** Finishes what is in flight, gives back what is not started, closes the transport. */
  stop: () => Promise<void>;
}

export interface WorkerParts {
  db: Database;
  queue: Queue;
  transport: Transport;
  secrets: Secrets;
  log: Logger;
  /** Deliveries at once, for all lanes. */
  slots?: number;
  /** Further deliveries at once, for `otp` alone: a full worker still takes codes. */
  otpSlots?: number;
  /** How many of `slots` bulk mail leaves free for other letters. */
  keptFromBulk?: number;
}

const pollMilliseconds = 150;
/** A claim waits this long after the one before, so that under load it finds more than one letter. */
const gatherMilliseconds = 5;
const renewMilliseconds = 2_000;
/** How long no delivery starts after a relay could not be reached; the next one is the probe. */
const relayRestMilliseconds = 1_000;
/** A delivery that takes longer no longer counts as busy, so that a relay that hangs on some letters holds up no others. */
const slowMilliseconds = 3_000;
/** How long a stopping worker waits for the relay's answers. */
const lastLettersMilliseconds = 20_000;
/** Claims are worth their cost in hundreds. */
const claimSize = 200;
/** Letters with their bodies in memory, and how many bytes of them. */
const loadSize = 100;
const loadBytes = 32 * 1024 * 1024;
const maxUnsettled = 2_000;
/** How long a stopping worker waits for a database that is away. */
const lastWordsMilliseconds = 5_000;

export function startMailWorker(parts: WorkerParts): MailWorker {
  const worker = new Worker(parts);
  const ended = worker.run();
  return {
    wake: () => worker.wake(),
    stop: async () => {
      worker.stop();
      await ended;
    },
  };
}

class Worker {
  readonly #parts: WorkerParts;
  readonly #settler;
  readonly #slots: number;
  readonly #otpSlots: number;
  readonly #bulkSlots: number;
  readonly #hold = new Hold();
  readonly #unsettled = new Set<Promise<void>>();
  readonly #slow = new Set<HeldLetter>();
  #isStopping = false;
  #isDatabaseAway = false;
  /** When to try a relay again that could not be reached; on the clock of `performance.now()`. */
  #relayDownUntil: number | undefined;
  /** Letters may have been committed since the last claim. */
  #isWoken = true;
  /** Something has changed since the last round. */
  #isSignalled = false;
  #endPause = () => {};
  #nextPollAt = 0;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#settler = makeSettler(parts);
    this.#slots = parts.slots ?? 20;
    this.#otpSlots = parts.otpSlots ?? 4;
    this.#bulkSlots = this.#slots - (parts.keptFromBulk ?? Math.floor(this.#slots / 5));
  }

  wake(): void {
    this.#isWoken = true;
    this.#signal();
  }

  stop(): void {
    this.#isStopping = true;
    this.#signal();
  }

  async run(): Promise<void> {
    const renewing = setInterval(() => void this.#attempt(() => this.#renew()), renewMilliseconds);
    await this.#attempt(() => hastenUnreached(this.#parts.db));
    while (!this.#isStopping) {
      this.#isSignalled = false;
      const isMoreDue = await this.#attempt(() => this.#fill());
      this.#start();
      if (isMoreDue !== true) await this.#pause();
    }
    await this.#finish();
    clearInterval(renewing);
  }

  /** Claims and loads as far as there is room. Returns whether there is more to be had at once. */
  async #fill(): Promise<boolean> {
    const isFull = await this.#claim();
    if (this.#hold.isWorthLoading(loadSize / 2, loadBytes)) await this.#load();
    return this.#hold.loaded.length < loadSize / 2 && (isFull || this.#hold.claimed.length > 0);
  }

  /** Returns whether as many letters came as were asked for. */
  async #claim(): Promise<boolean> {
    const room = this.#room();
    // With bulk mail enough in hand, others are asked for only where some may have come, not each time a slot falls free.
    const isUrgentWorthIt = this.#isWoken || this.#nextPollAt <= performance.now();
    const isWorthIt = room.bulk > 0 || (room.otp + room.transactional > 0 && isUrgentWorthIt);
    if (!isWorthIt || !this.#canSettle()) return false;
    this.#isWoken = false;
    this.#nextPollAt = performance.now() + pollMilliseconds;
    const claims = await this.#parts.queue.claim(room);
    this.#hold.addClaimed(claims);
    const codes = claims.filter(isCode).length;
    const bulk = claims.filter(isBulk).length;
    const isFull = (got: number, asked: number) => asked > 0 && got >= asked;
    return (
      isFull(codes, room.otp) ||
      isFull(claims.length - codes - bulk, room.transactional) ||
      isFull(claims.length - codes, room.bulk)
    );
  }

  #room(): Room {
    const held = this.#hold.count();
    if (this.#relayDownUntil !== undefined) {
      const isTrying = this.#relayDownUntil > performance.now() || held.otp + held.transactional + held.bulk > 0;
      const one = isTrying ? 0 : 1;
      return { otp: one, transactional: one, bulk: one };
    }
    return {
      otp: Math.max(0, this.#slots + this.#otpSlots - held.otp),
      transactional: roomBeside(held.transactional),
      bulk: roomBeside(held.transactional + held.bulk),
    };
  }

  async #load(): Promise<void> {
    const { db } = this.#parts;
    const wanted = this.#hold.claimed.slice(0, loadSize);
    const ids = wanted.map(({ id }) => id);
    const rows = await loadLetters(db, ids, loadBytes);
    const byId = new Map(rows.map((row) => [row.id, row]));
    const letters = wanted.flatMap((claim) => {
      const row = byId.get(claim.id);
      return row ? [{ ...row, claim }] : [];
    });
    this.#hold.addLoaded(letters);
    this.#start();
    // What did not fit stands behind the last one found; what is missing before it no longer exists.
    const last = wanted.findLastIndex(({ id }) => byId.has(id));
    const gone = wanted.filter(({ id }, index) => !byId.has(id) && (index < last || last === -1));
    if (gone.length === 0) return;
    await dropOrphans(
      db,
      gone.map(({ id }) => id),
    );
    this.#hold.drop(gone);
  }

  /** Starts as many deliveries as there are free slots. */
  #start(): void {
    const { loaded, delivering } = this.#hold;
    while (this.#mayStart()) {
      const [first] = loaded;
      const busy = delivering.size - Math.min(this.#slow.size, this.#slots);
      if (!first || busy >= this.#slotsFor(first)) return;
      loaded.shift();
      // Past its lease another worker may already have it, and would be right.
      if (first.claim.leaseEndsAt > performance.now()) this.#deliver(first);
    }
  }

  #slotsFor({ claim }: HeldLetter): number {
    if (isCode(claim)) return this.#slots + this.#otpSlots;
    return isBulk(claim) ? this.#bulkSlots : this.#slots;
  }

  #mayStart(): boolean {
    if (this.#isStopping || !this.#canSettle()) return false;
    if (this.#relayDownUntil === undefined) return true;
    // One at a time while the relay is down.
    return this.#relayDownUntil <= performance.now() && this.#hold.delivering.size === 0;
  }

  /** Nothing is begun whose end could not be recorded. */
  #canSettle(): boolean {
    return !this.#settler.isStuck() && this.#unsettled.size < maxUnsettled;
  }

  #deliver(letter: HeldLetter): void {
    this.#hold.delivering.add(letter);
    const slow = setTimeout(() => {
      this.#slow.add(letter);
      this.#start();
    }, slowMilliseconds);
    const delivered = deliver(this.#parts, letter).then(({ settlement, reached }) => {
      clearTimeout(slow);
      this.#slow.delete(letter);
      this.#hold.delivering.delete(letter);
      this.#noteRelay(reached);
      this.#start();
      if (this.#hold.loaded.length < loadSize / 2) this.#signal();
      return this.#settler.settle(settlement);
    });
    const settled = delivered.finally(() => this.#unsettled.delete(settled));
    this.#unsettled.add(settled);
  }

  #noteRelay(reached: boolean | undefined): void {
    const { log, db, queue } = this.#parts;
    if (reached === false) {
      if (this.#relayDownUntil === undefined) {
        log.warn('no SMTP relay can be reached; trying once a second');
        void this.#seekRelay();
      }
      this.#relayDownUntil = performance.now() + relayRestMilliseconds;
      void this.#attempt(() => queue.release(this.#hold.takeUnstarted()));
    } else if (reached === true && this.#relayDownUntil !== undefined) {
      this.#relayDownUntil = undefined;
      log.info('the SMTP relay can be reached again');
      void this.#attempt(() => hastenUnreached(db)).then(() => this.wake());
    }
  }

  /** Letters that are due try a relay too, but all may be waiting for a time that the relay's trouble has set. */
  async #seekRelay(): Promise<void> {
    do {
      await sleep(relayRestMilliseconds);
      if (this.#isStopping) return;
    } while (this.#relayDownUntil !== undefined && !(await this.#parts.transport.reach()));
    if (!this.#isStopping) this.#noteRelay(true);
  }

  async #renew(): Promise<void> {
    this.#hold.drop(await this.#parts.queue.renew(this.#hold.dueForRenewal()));
  }

  async #finish(): Promise<void> {
    await this.#attempt(() => this.#parts.queue.release(this.#hold.takeUnstarted()));
    const tooLate = setTimeout(() => this.#parts.transport.abandon(), lastLettersMilliseconds);
    while (this.#hold.delivering.size > 0) await Promise.race(this.#unsettled);
    clearTimeout(tooLate);
    const late = setTimeout(() => this.#settler.giveUp(), lastWordsMilliseconds);
    await Promise.all(this.#unsettled);
    clearTimeout(late);
    await this.#parts.transport.close();
  }

  /** Runs a step; a database that is away is no fault, and is logged once. */
  async #attempt<T>(step: () => Promise<T>): Promise<T | undefined> {
    const { log } = this.#parts;
    try {
      const result = await step();
      if (this.#isDatabaseAway) log.info('the database is back');
      this.#isDatabaseAway = false;
      return result;
    } catch (error) {
      if (!isUnavailable(error)) {
        log.error({ err: error }, 'a step of the mail worker failed');
        await sleep(1_000);
      } else if (!this.#isDatabaseAway) {
        log.warn({ err: error }, 'the database is away; waiting for it');
        this.#isDatabaseAway = true;
      }
      return undefined;
    }
  }

  #signal(): void {
    this.#isSignalled = true;
    this.#endPause();
  }

  /** Waits until something changes or it is time to look again. */
  #pause(): Promise<void> {
    if (this.#isStopping) return Promise.resolve();
    const isBrief = this.#isSignalled && !this.#isDatabaseAway;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, isBrief ? gatherMilliseconds : pollMilliseconds);
      if (isBrief) return;
      this.#endPause = () => {
        clearTimeout(timer);
        this.#endPause = () => {};
        resolve();
      };
    });
  }
}

/** How many letters to claim beside those in hand: none until half are done, for a claim is worth its cost in hundreds. */
function roomBeside(held: number): number {
  return held > claimSize / 2 ? 0 : claimSize - held;
}
