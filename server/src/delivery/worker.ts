/**
 * Delivery: what becomes of an accepted letter until each of its recipients has come to an end. It leaves to `queue/` how
 * the id of a due letter reaches a worker, and to `transport/` how a letter leaves the machine.
 *
 * The mail worker claims due letters, loads them in batches, delivers several at once, and settles. It survives the
 * database and the relay going away: while outcomes cannot be recorded it begins nothing, and while no relay can be
 * reached it takes a letter a second to find out, and leaves the others where they can be seen and canceled.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isUnavailable } from '../database/database.ts';
import type { Queue } from '../queue/queue.ts';
import type { Transport } from '../transport/transport.ts';
import type { ComposeParts } from './compose.ts';
import { deliver } from './deliver.ts';
import { Destinations } from './destinations.ts';
import { type HandedLetters, HandoffWindow, makeWindow } from './handoff.ts';
import { Hold, isCode, type Lane, lanes } from './hold.ts';
import { Intake, pollMilliseconds } from './intake.ts';
import { type Journal, openJournal } from './journal.ts';
import { replayJournals } from './journal-replay.ts';
import { type HeldLetter, putOff } from './outcome.ts';
import { RelayWatch } from './relay-watch.ts';
import { Settler } from './settle.ts';
import { hastenUnreached, postpone } from './store.ts';

export interface MailWorker {
  /** Says that work was committed; without it the worker looks by itself a little later. */
  wake: () => void;
  /** Gives it letters past the queue. */
  take: (handed: HandedLetters) => void;
  /** Finishes what is in flight, gives back what is not started, closes the transport. */
  stop: () => Promise<void>;
}

export interface WorkerParts extends ComposeParts {
  queue: Queue;
  transport: Transport;
  log: Logger;
  /** Where the journal is kept. */
  dataDir: string;
  /** Deliveries at once, for all lanes. */
  slots?: number;
  /** Further deliveries at once, for `otp` alone: a full worker still takes codes. */
  otpSlots?: number;
  /** Of whoever accepts letters in this process. */
  handoff?: Int32Array<SharedArrayBuffer> | undefined;
  /** How many of `slots` bulk mail leaves free for other letters. */
  keptFromBulk?: number;
}

/** A claim waits this long after the one before, so that under load it finds more than one letter. */
const gatherMilliseconds = 5;
const renewMilliseconds = 2_000;
/** How often the pace is taken, and what dawdles is looked for. */
const tickMilliseconds = 250;
/** A delivery that takes longer no longer counts as busy, so that a relay that hangs on some letters holds up no others. */
const slowMilliseconds = 3_000;
/**
 * Share of a lane's slots that one destination may have while letters to others are at hand, and while there are none:
 * some are always left for those that may come.
 */
const shareBesideOthers = 0.5;
const shareAlone = 0.8;
/** How long letters come back after that were given back because their destination is slow. */
const postponedSeconds = 3;
/** How long a stopping worker waits for the relay's answers. */
const lastLettersMilliseconds = 20_000;
/** How often journals of workers that died meanwhile are looked for. */
const replayMilliseconds = 5_000;
/** How long a stopping worker waits for a database that is away. */
const lastWordsMilliseconds = 5_000;

/** @throws Error that says what to do, where DATA_DIR cannot be written */
export function startMailWorker(parts: WorkerParts): MailWorker {
  const worker = new Worker(parts);
  const ended = worker.run();
  return {
    wake: () => worker.wake(),
    take: (handed) => worker.take(handed),
    stop: async () => {
      worker.stop();
      await ended;
    },
  };
}

class Worker {
  readonly #parts: WorkerParts;
  readonly #journal: Journal;
  readonly #settler: Settler;
  readonly #relay: RelayWatch;
  readonly #destinations = new Destinations();
  readonly #hold = new Hold();
  readonly #intake: Intake;
  readonly #window: HandoffWindow;
  readonly #slots: number;
  readonly #otpSlots: number;
  readonly #bulkSlots: number;
  /** Deliveries that take long, up to as many as there are slots. */
  #slow = 0;
  /** Deliveries that ended since the last tick. */
  #ended = 0;
  #isStopping = false;
  #isDatabaseAway = false;
  /** Something has changed since the last round. */
  #isSignalled = false;
  #endPause = () => {};

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#journal = openJournal(parts);
    this.#settler = new Settler({ ...parts, journal: this.#journal, isBusy: () => this.#hold.deliveringCount() > 0 });
    this.#relay = new RelayWatch({
      ...parts,
      onDown: () => void this.#attempt(() => parts.queue.release(this.#hold.takeUnstarted())),
      onUp: () => void this.#attempt(() => hastenUnreached(parts.db)).then(() => this.wake()),
    });
    this.#slots = parts.slots ?? 20;
    this.#otpSlots = parts.otpSlots ?? 4;
    this.#intake = new Intake({
      db: parts.db,
      queue: parts.queue,
      hold: this.#hold,
      relay: this.#relay,
      codes: this.#slots + this.#otpSlots,
      canSettle: () => this.#settler.canTake(),
      onLoaded: () => this.#start(),
    });
    this.#window = new HandoffWindow(parts.handoff ?? makeWindow());
    this.#bulkSlots = this.#slots - (parts.keptFromBulk ?? Math.floor(this.#slots / 5));
  }

  wake(): void {
    this.#intake.wake();
    this.#signal();
  }

  take(handed: HandedLetters): void {
    const letters = this.#window.receive(handed);
    if (this.#isStopping || this.#relay.isDown()) {
      void this.#attempt(() => this.#parts.queue.release(letters.map(({ claim }) => claim)));
    } else {
      this.#hold.addReady(letters);
      this.#start();
    }
    this.#openWindow();
  }

  stop(): void {
    this.#isStopping = true;
    this.#openWindow();
    this.#relay.stop();
    this.#signal();
  }

  async run(): Promise<void> {
    await this.#replayFirst();
    const timers = [
      setInterval(() => void this.#attempt(() => this.#renew()), renewMilliseconds),
      setInterval(() => void this.#attempt(() => replayJournals(this.#parts)), replayMilliseconds),
      setInterval(() => this.#tick(), tickMilliseconds),
    ];
    await this.#attempt(() => hastenUnreached(this.#parts.db));
    while (!this.#isStopping) {
      this.#isSignalled = false;
      const isMoreDue = await this.#attempt(() => this.#intake.fill());
      this.#start();
      this.#openWindow();
      if (isMoreDue !== true) await this.#pause();
    }
    await this.#finish();
    for (const timer of timers) clearInterval(timer);
  }

  /** Before anything is claimed: what is in a journal has been sent, and must not be sent again. */
  async #replayFirst(): Promise<void> {
    const replay = async () => {
      await replayJournals(this.#parts);
      return true;
    };
    while (!this.#isStopping && !(await this.#attempt(replay))) await this.#pause();
  }

  // ------------------------------------------------------------------------------------------------- delivering them

  /** Starts as many deliveries as there are free slots. */
  #start(): void {
    for (const lane of lanes) {
      while (this.#mayStart(lane)) {
        const letter =
          this.#hold.take(lane, (destination) => this.#hasRoom(destination, lane, shareBesideOthers)) ??
          this.#hold.take(lane, (destination) => this.#hasRoom(destination, lane, shareAlone));
        if (!letter) break;
        this.#begin(letter);
      }
    }
  }

  #openWindow(): void {
    this.#window.open(this.#isStopping ? 0 : this.#intake.roomForUnqueued());
  }

  #mayStart(lane: Lane): boolean {
    const delivering = this.#hold.deliveringCount();
    if (this.#isStopping || !this.#settler.canTake()) return false;
    // One at a time while the relay is down.
    if (this.#relay.isDown()) return !this.#relay.isResting() && delivering === 0;
    return delivering - this.#slow < this.#slotsOf(lane);
  }

  /** Whether a destination has less than this share of a lane's slots. */
  #hasRoom(destination: string, lane: Lane, share: number): boolean {
    return this.#destinations.deliveringTo(destination) < Math.ceil(this.#slotsOf(lane) * share);
  }

  #slotsOf(lane: Lane): number {
    if (lane === 0) return this.#slots + this.#otpSlots;
    return lane === 1 ? this.#slots : this.#bulkSlots;
  }

  #begin(letter: HeldLetter): void {
    const now = performance.now();
    const { claim, destination } = letter;
    // Past its lease another worker may already have it, and would be right.
    if (claim.leaseEndsAt <= now) {
      this.#hold.end(letter);
      return;
    }
    const isOtp = isCode(claim);
    const admission = destination === undefined ? 'go' : this.#destinations.admit(destination, { isOtp, now });
    if (admission === 'go') {
      this.#deliver(letter);
      return;
    }
    this.#hold.end(letter);
    this.#settler.settle(putOff(letter, new Date(Date.now() + admission.wait), admission.reason, new Date()));
  }

  #deliver(letter: HeldLetter): void {
    const beganAt = performance.now();
    const { destination } = letter;
    this.#hold.begin(letter, beganAt);
    if (destination !== undefined) this.#destinations.begin(destination, beganAt);
    void deliver(this.#parts, letter).then(({ settlement, delivery }) => {
      const now = performance.now();
      if (settlement) this.#settler.settle(settlement);
      this.#hold.end(letter);
      this.#ended++;
      if (now - beganAt > slowMilliseconds && this.#slow > 0) this.#slow--;
      if (destination !== undefined) this.#destinations.end(destination, delivery, now);
      this.#relay.note(delivery?.reached);
      this.#start();
      this.#openWindow();
      if (this.#hold.readyCount() < this.#intake.fewReady() || this.#isStopping) this.#signal();
    });
  }

  // ------------------------------------------------------------------------------------------------- in the meantime

  async #renew(): Promise<void> {
    this.#hold.drop(await this.#parts.queue.renew(this.#hold.dueForRenewal()));
  }

  #tick(): void {
    const now = performance.now();
    this.#intake.follow((this.#ended * 1_000) / tickMilliseconds);
    this.#ended = 0;
    this.#slow = Math.min(this.#slots, this.#hold.deliveringSince(now - slowMilliseconds));
    this.#destinations.forget(now);
    const surplus = this.#hold.takeSurplus(now - slowMilliseconds);
    if (surplus.length > 0) void this.#attempt(() => postpone(this.#parts.db, surplus, postponedSeconds));
    this.#start();
  }

  async #finish(): Promise<void> {
    await this.#attempt(() => this.#parts.queue.release(this.#hold.takeUnstarted()));
    const tooLate = setTimeout(() => this.#parts.transport.abandon(), lastLettersMilliseconds);
    while (this.#hold.deliveringCount() > 0) await this.#change();
    clearTimeout(tooLate);
    await this.#settler.finish(lastWordsMilliseconds);
    this.#journal.close();
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

  /** Waits until something changes. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#endPause = resolve;
    });
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
