/** What a broker must be able to do, and the ids that it has brought. */

/** 0 otp, 1 transactional, 2 bulk. */
export const lanes = [0, 1, 2] as const;
export type Lane = (typeof lanes)[number];

export interface Broker {
  /** `Redis`; the page that shows it is open to all. */
  kind: string;
  /** For the log: `Redis at host:6379`. No secrets. */
  name: string;
  /**
   * Connects and leaves again.
   * @throws where the broker cannot be reached, or is not one we can use
   */
  check: () => Promise<void>;
  /**
   * Connects, makes what queues there must be, and begins to receive.
   * @throws where the broker cannot be reached, or is not one we can use
   */
  connect: (options: LinkOptions) => Promise<BrokerLink>;
}

export interface LinkOptions {
  /** Sets this Postern's queues apart from another's. */
  installation: string;
  /** Where ids go that arrive. */
  inbox: Inbox;
  /** To be called once the link is of no more use; it need not be closed by then. */
  onLost: (error: Error) => void;
}

/** One connection, as long as it lasts; a new one is made after it, by whoever was told of its loss. */
export interface BrokerLink {
  /** How many ids wait in a lane that nobody has received. Need not be exact. */
  depth: (lane: Lane) => Promise<number>;
  /** Resolves once the broker has taken responsibility. */
  offer: (lane: Lane, ids: string[]) => Promise<void>;
  /** Receives no more; what is in the inbox by then stays there. */
  close: () => Promise<void>;
}

interface Arrival {
  id: string;
  lane: Lane;
  arrivedAt: number;
  /** On the last id of a message: tells the broker that it need not be kept. */
  acknowledge: (() => void) | undefined;
}

const idPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Ids of a lane at hand: two claims of a worker, so that the next is there when one is taken. */
export const inboxSize = 400;

/** Ids that have arrived and were not claimed, by lane in the order of arrival. */
export class Inbox {
  readonly #arrivals: [Arrival[], Arrival[], Arrival[]] = [[], [], []];
  #waiting: (() => void)[] = [];
  readonly #onArrival: () => void;

  constructor(onArrival: () => void) {
    this.#onArrival = onArrival;
  }

  /** Takes in a message. What is no id of ours is passed over: whoever wrote it, it must not come again. */
  add(lane: Lane, ids: unknown, acknowledge?: () => void): void {
    const valid = Array.isArray(ids) ? ids.filter((id): id is string => idPattern.test(String(id))) : [];
    if (valid.length === 0) {
      acknowledge?.();
      return;
    }
    const arrivedAt = performance.now();
    for (const [index, id] of valid.entries()) {
      this.#arrivals[lane].push({
        id,
        lane,
        arrivedAt,
        acknowledge: index === valid.length - 1 ? acknowledge : undefined,
      });
    }
    this.#onArrival();
  }

  /** Takes out the next ids of a lane. */
  take(lane: Lane, count: number): Arrival[] {
    const taken = this.#arrivals[lane].splice(0, Math.max(0, count));
    if (taken.length > 0) this.#tellRoom();
    return taken;
  }

  putBack(arrivals: Arrival[]): void {
    for (const lane of lanes) this.#arrivals[lane].unshift(...arrivals.filter((one) => one.lane === lane));
  }

  /** Takes out ids that are here longer than their offer stands: they are offered again, maybe to a worker with room. */
  takeStale(lane: Lane, milliseconds: number): Arrival[] {
    const fresh = this.#arrivals[lane].findIndex(({ arrivedAt }) => performance.now() - arrivedAt < milliseconds);
    return this.take(lane, fresh === -1 ? this.#arrivals[lane].length : fresh);
  }

  takeAll(): Arrival[] {
    return lanes.flatMap((lane) => this.take(lane, Number.POSITIVE_INFINITY));
  }

  room(lane: Lane): number {
    return Math.max(0, inboxSize - this.#arrivals[lane].length);
  }

  /** Resolves when something was taken out. */
  untilTaken(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #tellRoom(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
  }
}
