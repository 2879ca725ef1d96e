import type { Logger } from 'pino';
import { type Database, isUnavailable } from '../database/database.ts';
import { inTime } from '../in-time.ts';
import { type BrokerLink, type Inbox, type Lane, lanes } from './broker.ts';
import { makeOffers, offerSecondsOf, withdrawOffers } from './offers.ts';
import type { Upkeep } from './upkeep.ts';

/**
 * Ids in the broker's queue of a lane: as few as keep the workers busy. What is there has its place and can neither be
 * overtaken by another tenant nor be shared out anew.
 */
const fullDepth = 1_000;
const offerSize = 500;
const pollMilliseconds = 150;
/** How long a depth is believed while far from full. */
const depthMilliseconds = 1_000;
const deadlineMilliseconds = 3_000;

interface RelayParts {
  db: Database;
  log: Logger;
  upkeep: Upkeep;
  link: BrokerLink;
  inbox: Inbox;
}

interface LaneDepth {
  depth: number;
  askedAt: number;
}

/**
 * Feeds a broker: chooses due letters by turns and offers their ids, as long as the ready queue there is short. Each
 * worker has a relay. They take what the others leave, so that none needs to be the one and no failure has to be
 * noticed; the depth of the ready queue is what they have in common.
 */
export class Relay {
  readonly #db: Database;
  readonly #log: Logger;
  readonly #upkeep: Upkeep;
  readonly #link: BrokerLink;
  readonly #inbox: Inbox;
  readonly #offers;
  readonly #depths = lanes.map((): LaneDepth => ({ depth: 0, askedAt: Number.NEGATIVE_INFINITY }));
  #isStopped = false;
  #isKicked = false;
  #isHeldUp = false;
  #endPause = () => {};

  constructor({ db, log, upkeep, link, inbox }: RelayParts) {
    this.#db = db;
    this.#log = log;
    this.#upkeep = upkeep;
    this.#link = link;
    this.#inbox = inbox;
    this.#offers = lanes.map((lane) => makeOffers({ db, lane }));
  }

  /** Says that work was committed. */
  wake(): void {
    this.#isKicked = true;
    this.#endPause();
  }

  /** Says that ids were taken: there may be room again for what is due. */
  noteTaken(): void {
    if (this.#isHeldUp) this.wake();
  }

  stop(): void {
    this.#isStopped = true;
    this.#endPause();
  }

  /**
   * Runs until it is stopped. A database that is away is waited for.
   * @throws what is wrong with the broker
   */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      this.#isKicked = false;
      const isMoreDue = await this.#step();
      if (!isMoreDue) await this.#pause();
    }
  }

  /** Returns whether more can be offered at once. */
  async #step(): Promise<boolean> {
    for (const lane of lanes) {
      const stale = this.#inbox.takeStale(lane, offerSecondsOf({ lane }) * 1000);
      for (const { acknowledge } of stale) acknowledge?.();
    }
    const states = await Promise.all(lanes.map((lane) => this.#offer(lane)));
    this.#isHeldUp = states.includes('held up');
    return states.includes('more');
  }

  async #offer(lane: Lane): Promise<'more' | 'held up' | 'done'> {
    const state = await this.#depthOf(lane);
    const room = Math.min(offerSize, fullDepth - state.depth);
    if (room <= 0) return 'held up';
    const ids = await this.#choose(lane, room);
    if (ids.length === 0) return 'done';
    state.depth += ids.length;
    try {
      await inTime(this.#link.offer(lane, ids), deadlineMilliseconds);
    } catch (error) {
      await withdrawOffers(this.#db, ids).catch(() => {});
      throw error;
    }
    return ids.length < room ? 'done' : 'more';
  }

  async #depthOf(lane: Lane): Promise<LaneDepth> {
    const state = this.#depths[lane] ?? { depth: 0, askedAt: 0 };
    const now = performance.now();
    if (state.depth >= fullDepth / 2 || now - state.askedAt > depthMilliseconds) {
      state.depth = await inTime(this.#link.depth(lane), deadlineMilliseconds);
      state.askedAt = now;
    }
    return state;
  }

  async #choose(lane: Lane, room: number): Promise<string[]> {
    try {
      const ids = ((await this.#offers[lane]?.take(room)) ?? []).map(({ email_id: id }) => id);
      this.#upkeep.note(ids.length);
      return ids;
    } catch (error) {
      // That the database is away is told by the worker, which asks the same.
      if (!isUnavailable(error)) this.#log.error({ err: error }, 'letters could not be offered to the broker');
      return [];
    }
  }

  #pause(): Promise<void> {
    if (this.#isStopped || this.#isKicked) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#endPause = () => {};
        resolve();
      };
      const timer = setTimeout(end, pollMilliseconds);
      this.#endPause = end;
    });
  }
}
