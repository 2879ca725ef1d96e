import type { Logger } from 'pino';
import { type Database, isUnavailable } from '../database/database.ts';
import { type Broker, type BrokerLink, Inbox } from './broker.ts';
import { readInstallation, takeOffered, withdrawOffers } from './offers.ts';
import { PostgresQueue } from './postgres.ts';
import type { ClaimedEmail, OpenQueue, Room } from './queue.ts';
import { Relay } from './relay.ts';
import { Upkeep } from './upkeep.ts';

const firstRetryMilliseconds = 250;
const lastRetryMilliseconds = 5_000;
/** A broker that was away is back once it has served for so long: one that comes and goes is told of once. */
const steadyMilliseconds = 2_000;

export interface BrokerQueueParts {
  db: Database;
  log: Logger;
  broker: Broker;
  /** Told what is wrong while letters go over PostgreSQL, and `undefined` when they go over the broker. */
  onFault?: ((fault: string | undefined) => void) | undefined;
}

/**
 * A broker between those who choose letters and those who deliver them. Leases are taken in PostgreSQL all the same,
 * and while the broker is away claims go there as if it had never been.
 */
export class BrokerQueue implements OpenQueue {
  readonly #parts: BrokerQueueParts;
  readonly #upkeep: Upkeep;
  readonly #bridge: PostgresQueue;
  readonly #inbox = new Inbox(() => this.#listener());
  readonly #running: Promise<void>;
  #relay: Relay | undefined;
  #listener = () => {};
  #isClosed = false;
  /** Ends whatever `#run` is waiting for. */
  #interrupt = () => {};
  #isReportedAway = false;

  constructor(parts: BrokerQueueParts) {
    this.#parts = parts;
    this.#upkeep = new Upkeep(parts);
    this.#bridge = new PostgresQueue({ ...parts, upkeep: this.#upkeep });
    this.#running = this.#run();
  }

  async claim(room: Room): Promise<ClaimedEmail[]> {
    if (!this.#relay) return this.#bridge.claim(room);
    const rest = { ...room };
    const all: ClaimedEmail[] = [];
    for (;;) {
      const { asked, claims } = await this.#takeArrived(rest);
      all.push(...claims);
      // As many as came: done. Fewer: some had been taken before, and those behind them may be had.
      if (claims.length === asked) break;
      for (const { lane } of claims) spend(rest, lane);
    }
    if (all.length > 0) this.#relay?.noteTaken();
    return all.sort((a, b) => a.lane - b.lane);
  }

  async #takeArrived(room: Room): Promise<{ asked: number; claims: ClaimedEmail[] }> {
    const codes = this.#inbox.take(0, room.otp);
    const transactional = this.#inbox.take(1, room.transactional);
    const bulk = this.#inbox.take(2, room.bulk - transactional.length);
    const arrivals = [...codes, ...transactional, ...bulk];
    if (arrivals.length === 0) return { asked: 0, claims: [] };
    const ids = [...new Set(arrivals.map(({ id }) => id))];
    try {
      const { claims, passedOver } = await takeOffered(this.#parts.db, ids);
      const again = arrivals.filter(({ id }) => passedOver.has(id));
      this.#inbox.putBack(again);
      for (const { id, acknowledge } of arrivals) if (!passedOver.has(id)) acknowledge?.();
      return { asked: arrivals.length - again.length, claims };
    } catch (error) {
      this.#inbox.putBack(arrivals);
      throw error;
    }
  }

  renew(claimed: ClaimedEmail[]): Promise<ClaimedEmail[]> {
    return this.#bridge.renew(claimed);
  }

  async release(claimed: ClaimedEmail[]): Promise<void> {
    await this.#bridge.release(claimed);
    if (claimed.length > 0) this.#relay?.wake();
  }

  wake(): void {
    this.#relay?.wake();
  }

  onWork(listener: () => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#interrupt();
    await this.#running;
    await this.#upkeep.settled();
  }

  /** Connects, serves as long as that lasts, and connects again. */
  async #run(): Promise<void> {
    let delay = firstRetryMilliseconds;
    while (!this.#isClosed) {
      const startedAt = performance.now();
      const fault = await this.#serve();
      if (this.#isClosed) return;
      if (performance.now() - startedAt > steadyMilliseconds) delay = firstRetryMilliseconds;
      if (fault) this.#reportAway(fault);
      this.#listener();
      await this.#wait(delay);
      delay = Math.min(delay * 2, lastRetryMilliseconds);
    }
  }

  /** One connection, from its beginning to its end. Returns what ended it. */
  async #serve(): Promise<Error | undefined> {
    const { db, log, broker } = this.#parts;
    let link: BrokerLink | undefined;
    let steady: NodeJS.Timeout | undefined;
    let relaying: Promise<void> | undefined;
    try {
      const installation = await readInstallation(db).catch((error) => {
        if (!isUnavailable(error)) throw error;
      });
      // The worker tells of a database that is away.
      if (installation === undefined) return undefined;
      let lose = (_error: Error) => {};
      const lost = new Promise<never>((_, fail) => {
        lose = fail;
      });
      lost.catch(() => {});
      link = await broker.connect({ installation, inbox: this.#inbox, onLost: (error) => lose(error) });
      const relay = new Relay({ db, log, upkeep: this.#upkeep, link, inbox: this.#inbox });
      this.#relay = relay;
      this.#interrupt = () => relay.stop();
      if (this.#isClosed) relay.stop();
      steady = setTimeout(() => this.#reportBack(), this.#isReportedAway ? steadyMilliseconds : 0);
      relaying = relay.run();
      await Promise.race([relaying, lost]);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      clearTimeout(steady);
      this.#relay?.stop();
      this.#relay = undefined;
      await link?.close().catch(() => {});
      await relaying?.catch(() => {});
      await this.#giveBack();
    }
  }

  /** What had arrived is due for everyone at once. */
  async #giveBack(): Promise<void> {
    const arrivals = this.#inbox.takeAll();
    const ids = arrivals.map(({ id }) => id);
    // Where even that fails, the offers run out.
    await withdrawOffers(this.#parts.db, ids).catch(() => {});
  }

  #reportAway(fault: Error): void {
    if (this.#isReportedAway) return;
    this.#isReportedAway = true;
    const { log, broker, onFault } = this.#parts;
    const reason = fault.message || ('code' in fault ? String(fault.code) : fault.name);
    log.warn({ reason }, `${broker.name} cannot be used; letters go over PostgreSQL until it is back`);
    onFault?.(`bridged over PostgreSQL: ${broker.kind} cannot be used`);
  }

  #reportBack(): void {
    const { log, broker, onFault } = this.#parts;
    if (this.#isReportedAway) log.info(`${broker.name} is back; letters go over it again`);
    else log.info(`letters go over ${broker.name}`);
    this.#isReportedAway = false;
    onFault?.(undefined);
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#isClosed) this.#interrupt();
    });
  }
}

function spend(room: Room, lane: number): void {
  if (lane === 0) room.otp--;
  if (lane === 1) room.transactional--;
  // Bulk mail gets what transactional letters leave of its room.
  if (lane !== 0) room.bulk--;
}
