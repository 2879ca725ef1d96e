/**
 * The mail worker: claims due letters, loads them in batches, delivers several at once, and settles. It survives the
 * database and the relay going away; while outcomes cannot be recorded or no relay can be reached it holds its letters.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Secrets } from '../crypto/secrets.ts';
import { type Database, isUnavailable } from '../database/database.ts';
import { type ClaimedEmail, leaseSecondsOf, type Queue } from '../queue/queue.ts';
import type { Transport } from '../transport/transport.ts';
import { deliver } from './deliver.ts';
import { dropOrphans, hastenUnreached, loadLetters } from './delivery-store.ts';
import { type HeldLetter, makeSettler } from './settle.ts';

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
}

const pollMilliseconds = 150;
/** How long no delivery starts after a relay could not be reached: the next one is the probe. */
const relayRestMilliseconds = 1_000;
const claimSize = 200;
/** Letters with their bodies in memory, and how many bytes are loaded at a time. */
const loadedLetters = 100;
const loadBytes = 32 * 1024 * 1024;
const maxUnsettled = 2_000;

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
  /** Claimed, not loaded. Codes stand first. */
  #claimed: ClaimedEmail[] = [];
  /** Loaded, not started. Codes stand first. */
  #loaded: HeldLetter[] = [];
  readonly #delivering = new Set<HeldLetter>();
  readonly #unsettled = new Set<Promise<void>>();
  #isStopping = false;
  #isDatabaseAway = false;
  #relayDownUntil: number | undefined;
  #wake = () => {};
  /** Work may have come since the last claim. */
  #isWoken = true;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#settler = makeSettler(parts);
    this.#slots = parts.slots ?? 20;
    this.#otpSlots = parts.otpSlots ?? 4;
  }

  wake(): void {
    this.#isWoken = true;
    this.#wake();
  }

  stop(): void {
    this.#isStopping = true;
    this.#wake();
  }

  async run(): Promise<void> {
    const renewing = setInterval(() => void this.#attempt(() => this.#renew()), 2_000);
    await this.#attempt(() => hastenUnreached(this.#parts.db));
    while (!this.#isStopping) {
      const isFull = await this.#attempt(() => this.#fill());
      this.#start();
      if (isFull !== true) await this.#pause();
    }
    await this.#finish();
    clearInterval(renewing);
  }

  /** Claims and loads. Returns whether there is more to be had at once. */
  async #fill(): Promise<boolean> {
    this.#isWoken = false;
    const others = this.#count((lane) => lane > 0);
    const otp = this.#count((lane) => lane === 0);
    const room = {
      otp: Math.max(0, this.#otpSlots + this.#slots - otp),
      // Claims are worth their cost in hundreds: wait until half is gone.
      others: others > claimSize / 2 ? 0 : claimSize - others,
    };
    let isFull = false;
    if ((room.otp > 0 || room.others > 0) && !this.#settler.isStuck() && this.#unsettled.size < maxUnsettled) {
      const claimed = await this.#parts.queue.claim(room);
      const codes = claimed.filter(({ lane }) => lane === 0);
      isFull =
        (room.otp > 0 && codes.length === room.otp) ||
        (room.others > 0 && claimed.length - codes.length === room.others);
      this.#claimed = [...codes, ...this.#claimed, ...claimed.filter(({ lane }) => lane > 0)];
    }
    if (this.#claimed.length > 0 && (this.#loaded.length < loadedLetters / 2 || this.#claimed[0]?.lane === 0)) {
      await this.#load();
      this.#start();
      return isFull || (this.#claimed.length > 0 && this.#loaded.length < loadedLetters / 2);
    }
    return isFull && this.#loaded.length < loadedLetters / 2;
  }

  async #load(): Promise<void> {
    const { db } = this.#parts;
    const wanted = this.#claimed.slice(0, loadedLetters);
    const rows = await loadLetters(
      db,
      wanted.map(({ id }) => id),
      loadBytes,
    );
    const byId = new Map(wanted.map((claim) => [claim.id, claim]));
    const loaded = rows.flatMap((row): HeldLetter[] => {
      const claim = byId.get(row.id);
      // The lease may have been lost while we loaded.
      return claim && this.#claimed.includes(claim) ? [{ ...row, claim }] : [];
    });
    const found = new Set(rows.map(({ id }) => id));
    // What did not fit stands behind the last one found; what is missing before it no longer exists.
    const last = wanted.findLastIndex(({ id }) => found.has(id));
    const gone = wanted.filter(({ id }, index) => !found.has(id) && (index < last || last === -1)).map(({ id }) => id);
    if (gone.length > 0) await dropOrphans(db, gone);
    const done = new Set([...found, ...gone]);
    this.#claimed = this.#claimed.filter(({ id }) => !done.has(id));
    const isCode = ({ claim }: HeldLetter) => claim.lane === 0;
    this.#loaded = [
      ...this.#loaded.filter(isCode),
      ...loaded.filter(isCode),
      ...this.#loaded.filter((one) => !isCode(one)),
      ...loaded.filter((one) => !isCode(one)),
    ];
  }

  /** Starts as many deliveries as there are free slots. */
  #start(): void {
    while (this.#loaded.length > 0 && this.#mayStart()) {
      const isFirstCode = this.#loaded[0]?.claim.lane === 0;
      if (this.#delivering.size >= this.#slots + (isFirstCode ? this.#otpSlots : 0)) return;
      const letter = this.#loaded.shift();
      // Another worker may already have it, and would be right.
      if (letter && letter.claim.leaseEndsAt > performance.now()) this.#deliver(letter);
    }
  }

  #mayStart(): boolean {
    if (this.#isStopping || this.#settler.isStuck() || this.#unsettled.size >= maxUnsettled) return false;
    if (this.#relayDownUntil === undefined) return true;
    // One at a time while the relay is down.
    return this.#relayDownUntil <= performance.now() && this.#delivering.size === 0;
  }

  #deliver(letter: HeldLetter): void {
    this.#delivering.add(letter);
    const delivery = deliver(this.#parts, letter).then(({ settlement, reached }) => {
      this.#delivering.delete(letter);
      this.#noteRelay(reached);
      this.#start();
      if (this.#loaded.length < loadedLetters / 2) this.#wake();
      return this.#settler.settle(settlement);
    });
    const settled = delivery.finally(() => {
      this.#unsettled.delete(settled);
      if (this.#isStopping || this.#unsettled.size === maxUnsettled - 1) this.#wake();
    });
    this.#unsettled.add(settled);
  }

  #noteRelay(reached: boolean | undefined): void {
    if (reached === undefined) return;
    if (!reached) {
      if (this.#relayDownUntil === undefined)
        this.#parts.log.warn('no SMTP relay can be reached; trying one letter a second');
      this.#relayDownUntil = performance.now() + relayRestMilliseconds;
    } else if (this.#relayDownUntil !== undefined) {
      this.#relayDownUntil = undefined;
      this.#parts.log.info('the SMTP relay can be reached again');
      void this.#attempt(() => hastenUnreached(this.#parts.db)).then(() => this.wake());
    }
  }

  async #renew(): Promise<void> {
    const now = performance.now();
    const held = [
      ...this.#claimed,
      ...this.#loaded.map(({ claim }) => claim),
      ...[...this.#delivering].map(({ claim }) => claim),
    ];
    const lost = new Set(
      await this.#parts.queue.renew(held.filter((one) => one.leaseEndsAt - now < leaseSecondsOf(one) * 500)),
    );
    this.#claimed = this.#claimed.filter((one) => !lost.has(one));
    this.#loaded = this.#loaded.filter(({ claim }) => !lost.has(claim));
  }

  async #finish(): Promise<void> {
    await this.#attempt(() => this.#parts.queue.release([...this.#claimed, ...this.#loaded.map(({ claim }) => claim)]));
    this.#claimed = [];
    this.#loaded = [];
    while (this.#delivering.size > 0) await Promise.race(this.#unsettled);
    const late = setTimeout(() => this.#settler.giveUp(), 5_000);
    await Promise.all(this.#unsettled);
    clearTimeout(late);
    await this.#parts.transport.close();
  }

  /** Runs a step; a database that is away is no fault, and is logged once. */
  async #attempt<T>(step: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await step();
      if (this.#isDatabaseAway) this.#parts.log.info('the database is back');
      this.#isDatabaseAway = false;
      return result;
    } catch (error) {
      if (!isUnavailable(error)) {
        this.#parts.log.error({ err: error }, 'a step of the mail worker failed');
        await sleep(1_000);
      } else if (!this.#isDatabaseAway) {
        this.#parts.log.warn({ err: error }, 'the database is away; waiting for it');
        this.#isDatabaseAway = true;
      }
      return undefined;
    }
  }

  /** Waits for a wake-up, or for the time to look again. */
  #pause(): Promise<void> {
    if (this.#isStopping || (this.#isWoken && !this.#isDatabaseAway)) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pollMilliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }

  #count(matches: (lane: number) => boolean): number {
    let count = 0;
    for (const { lane } of this.#claimed) if (matches(lane)) count++;
    for (const { claim } of this.#loaded) if (matches(claim.lane)) count++;
    for (const { claim } of this.#delivering) if (matches(claim.lane)) count++;
    return count;
  }
}
