import type { Database } from '../database/database.ts';
import type { Queue, Room } from '../queue/queue.ts';
import { type Hold, isBulk, isCode } from './hold.ts';
import { hold as holdLetter } from './outcome.ts';
import type { RelayWatch } from './relay-watch.ts';
import { dropOrphans, type LetterRow, loadLetters } from './store.ts';

/** How often letters are asked for without a sign that there are some. */
export const pollMilliseconds = 150;
/** Letters in hand: what is delivered in half a second, within these bounds. Claims are worth their cost in hundreds. */
const fewestInHand = 200;
const mostInHand = 2_000;
/** Letters loaded at once, with their bodies, and the octets of bodies in memory. */
const mostLoaded = 500;
const loadBytes = 32 * 1024 * 1024;

interface Parts {
  db: Database;
  queue: Queue;
  hold: Hold;
  relay: RelayWatch;
  /** Codes in hand at most. */
  codes: number;
  /** Whether outcomes can be recorded. */
  canSettle: () => boolean;
  /** Letters may be ready to go. */
  onLoaded: () => void;
}

/** Brings letters into a worker's hands: claims them and loads their bodies, as far as there is room and pace. */
export class Intake {
  readonly #parts: Parts;
  #handSize = fewestInHand;
  /** Letters may have been committed since the last claim. */
  #isWoken = true;
  #nextPollAt = 0;
  /** The last claim left nothing behind. */
  #hasAll = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  wake(): void {
    this.#isWoken = true;
  }

  /** How many letters may come past the queue: none where the last claim has left some in it, or did not ask for all. */
  roomForUnqueued(): number {
    const { hold, relay, canSettle } = this.#parts;
    if (!this.#hasAll || relay.isDown() || !canSettle() || hold.loadedBytes() > loadBytes) return 0;
    return Math.max(0, this.#handSize - hold.count(1) - hold.count(2));
  }

  /** @param pace letters delivered in a second */
  follow(pace: number): void {
    this.#handSize = Math.round(Math.max(fewestInHand, Math.min(mostInHand, pace / 2)));
  }

  /** Claims and loads as far as there is room. Returns whether there is more to be had at once. */
  async fill(): Promise<boolean> {
    const isFull = await this.#claim();
    if (this.#parts.hold.isWorthLoading(this.fewReady(), loadBytes)) await this.#load();
    return this.#parts.hold.readyCount() < this.fewReady() && (isFull || this.#parts.hold.claimedCount() > 0);
  }

  /** With fewer letters than this ready to go, more are loaded. */
  fewReady(): number {
    return Math.min(this.#handSize, mostLoaded) / 2;
  }

  /** Returns whether as many letters came as were asked for. */
  async #claim(): Promise<boolean> {
    const room = this.#room();
    // With bulk mail enough in hand, others are asked for only where some may have come, not each time a slot falls free.
    const isUrgentWorthIt = this.#isWoken || this.#nextPollAt <= performance.now();
    const isWorthIt = room.bulk > 0 || (room.otp + room.transactional > 0 && isUrgentWorthIt);
    if (!isWorthIt || !this.#parts.canSettle()) return false;
    this.#isWoken = false;
    this.#nextPollAt = performance.now() + pollMilliseconds;
    const claims = await this.#parts.queue.claim(room);
    this.#parts.hold.addClaimed(claims);
    const codes = claims.filter(isCode).length;
    const bulk = claims.filter(isBulk).length;
    const isFull = (got: number, asked: number) => asked > 0 && got >= asked;
    const mayLeave =
      isFull(codes, room.otp) ||
      isFull(claims.length - codes - bulk, room.transactional) ||
      isFull(claims.length - codes, room.bulk);
    // Of a lane that was not asked for nobody knows.
    this.#hasAll = !mayLeave && room.transactional > 0 && room.bulk > 0;
    return mayLeave;
  }

  #room(): Room {
    if (this.#parts.relay.isDown()) {
      const one = this.#parts.relay.isResting() || !this.#parts.hold.isEmpty() ? 0 : 1;
      return { otp: one, transactional: one, bulk: one };
    }
    const transactional = this.#parts.hold.count(1);
    return {
      otp: Math.max(0, this.#parts.codes - this.#parts.hold.count(0)),
      transactional: this.#roomBeside(transactional),
      bulk: this.#roomBeside(transactional + this.#parts.hold.count(2)),
    };
  }

  /** None until half of those in hand are done. */
  #roomBeside(held: number): number {
    return held > this.#handSize / 2 ? 0 : this.#handSize - held;
  }

  async #load(): Promise<void> {
    const { db } = this.#parts;
    const wanted = this.#parts.hold.beginLoading(Math.min(this.#handSize, mostLoaded));
    let rows: LetterRow[];
    try {
      rows = await loadLetters(
        db,
        wanted.map(({ id }) => id),
        loadBytes,
      );
    } catch (error) {
      this.#parts.hold.endLoading([], wanted);
      throw error;
    }
    const byId = new Map(rows.map((row) => [row.id, row]));
    const letters = wanted.flatMap((claim) => {
      const row = byId.get(claim.id);
      return row ? [holdLetter(row, claim)] : [];
    });
    // What did not fit stands behind the last one found; what is missing before it no longer exists.
    const last = wanted.findLastIndex(({ id }) => byId.has(id));
    const end = last === -1 ? wanted.length : last + 1;
    const gone = wanted.slice(0, end).filter(({ id }) => !byId.has(id));
    this.#parts.hold.drop(gone);
    this.#parts.hold.endLoading(letters, wanted.slice(end));
    this.#parts.onLoaded();
    if (gone.length === 0) return;
    await dropOrphans(
      db,
      gone.map(({ id }) => id),
    );
  }
}
