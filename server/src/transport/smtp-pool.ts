/** The connections to one relay: how many there are, which of them has time, and when there should be more. */
import type { Patience } from './patience.ts';
import { type Connection, openConnection, RefusedConnection } from './smtp-connection.ts';
import type { Letter } from './smtp-letter.ts';
import type { Line } from './smtp-line.ts';
import type { Relay } from './smtp-relay.ts';
import { Session, type SessionOwner } from './smtp-session.ts';

export interface PoolParts {
  relay: Relay;
  line: Line;
  patience: Patience;
  /** Connections for all letters, and further ones for urgent letters. */
  connections: number;
  reserved: number;
  signal: AbortSignal;
  /** Whether the letters of the line are this relay's to carry. */
  isChosen: () => boolean;
  /** How long to wait for a connection, milliseconds. */
  openTimeout: () => number;
  giveBack: (letter: Letter) => void;
  /** There is a new connection, or one cannot be had: time to look at the line again. */
  changed: () => void;
}

/** A letter waits behind another one's message only where messages are answered within so many milliseconds. */
const promptAnswer = 500;

export class Pool implements SessionOwner {
  /** Set when it could not be reached; endless while it is being looked after. On the clock of `Date.now()`. */
  trouble: { until: number; error: Error } | undefined;
  readonly #parts: PoolParts;
  readonly #sessions = new Set<Session>();
  readonly #resting: Session[] = [];
  /** Those that carry an ordinary letter, or that began with one. */
  readonly #ordinary = new Set<Session>();
  #openings = 0;
  #stalled = 0;
  #refusedLogins = 0;
  #troubleSince = 0;
  /** A connection was had since the last trouble; until then one at a time finds out. */
  #isProven = false;
  /** No further connection is asked for before this: the relay has refused one beside those it has given. */
  #enoughUntil = 0;

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** Nothing to look after. */
  get isQuiet(): boolean {
    return this.#sessions.size === 0 && this.#openings === 0;
  }

  get isReady(): boolean {
    return this.#resting.length > 0;
  }

  /** Gives the line's letters to those that rest, and opens connections for the others. */
  serve(): void {
    const { line } = this.#parts;
    while (line.length > 0 && this.#resting.length > 0) {
      const session = this.#resting.pop() as Session;
      const letter = this.take(session, false);
      if (!letter) {
        this.#resting.push(session);
        break;
      }
      if (!session.start(letter)) session.free();
    }
    while (this.#needsAnother()) void this.open();
  }

  #needsAnother(): boolean {
    const { line, connections, reserved } = this.#parts;
    if (this.#openings >= line.length || (!this.#isProven && this.#openings > 0)) return false;
    // One that gives no answer is as good as none, up to a limit: else a few hanging letters would hold up all.
    const working = this.#sessions.size + this.#openings - Math.min(this.#stalled, connections);
    if (working >= connections + (line.urgent > this.#openings ? reserved : 0)) return false;
    if (this.#sessions.size > 0 && this.#enoughUntil > Date.now()) return false;
    const now = performance.now();
    const nearlyFree = [...this.#sessions].filter((session) => session.isClearing && !session.isStalled(now));
    return this.#openings + nearlyFree.length < line.length;
  }

  /** Asks for a connection. Resolves when there is one, or `trouble`. */
  async open(): Promise<void> {
    const { relay, patience, signal, openTimeout, changed } = this.#parts;
    const askedAt = performance.now();
    this.#openings++;
    try {
      const connection = await openConnection(relay, patience, { timeout: openTimeout(), signal });
      this.#openings--;
      this.#welcome(connection);
    } catch (error) {
      this.#openings--;
      this.#noteTrouble(error instanceof Error ? error : new Error(String(error)), askedAt);
    }
    changed();
  }

  #welcome(connection: Connection): void {
    this.trouble = undefined;
    this.#refusedLogins = 0;
    this.#isProven = true;
    const session = new Session(connection, this, this.#parts.patience);
    this.#sessions.add(session);
    if (this.#parts.signal.aborted) session.quit();
    else session.free();
  }

  /** Leaves the relay alone for a while. */
  #noteTrouble(error: Error, askedAt: number): void {
    const { rest, longestRest } = this.#parts.patience;
    const isLogin = error instanceof RefusedConnection && error.isLogin;
    // Several may have been asked for at once; it was one attempt.
    if (isLogin && askedAt >= this.#troubleSince) this.#refusedLogins++;
    if (!isLogin) this.#refusedLogins = 0;
    this.#troubleSince = performance.now();
    const until = Date.now() + (isLogin ? Math.min(longestRest, rest * 2 ** this.#refusedLogins) : rest);
    this.#enoughUntil = until;
    // A relay that carries letters can be reached, even if it gives no more connections.
    if (this.#sessions.size > this.#stalled) return;
    this.#isProven = false;
    this.trouble = { until, error };
  }

  take(session: Session, isBehind: boolean): Letter | undefined {
    const { line, connections, isChosen } = this.#parts;
    if (line.length === 0 || !isChosen()) return undefined;
    // A connection that is on its way serves a letter sooner than one that is busy.
    if (isBehind && (line.length <= this.#openings || session.lastAnswerTime > promptAnswer)) return undefined;
    const letter = line.take(this.#ordinary.has(session) || this.#ordinary.size < connections);
    if (letter && !letter.isUrgent) this.#ordinary.add(session);
    return letter;
  }

  giveBack(letter: Letter, isStale = false): void {
    // The others that rest may be gone as well, and the letter need not find out about each.
    if (isStale) for (const session of [...this.#resting]) session.quit();
    this.#parts.giveBack(letter);
  }

  rest(session: Session): void {
    this.#ordinary.delete(session);
    this.#resting.push(session);
  }

  ended(session: Session): void {
    this.#sessions.delete(session);
    this.#ordinary.delete(session);
    const at = this.#resting.indexOf(session);
    if (at >= 0) this.#resting.splice(at, 1);
    this.#parts.changed();
  }

  /** Looks at the clock: what takes too long ends, and what nobody needs. */
  tick(now: number): void {
    const { idle } = this.#parts.patience;
    const idleSince = now - idle;
    for (const session of this.#resting.filter(({ restingSince }) => restingSince <= idleSince)) session.quit();
    this.#stalled = 0;
    for (const session of [...this.#sessions]) {
      session.tick(now);
      if (!this.#sessions.has(session) || !session.isStalled(now)) continue;
      this.#stalled++;
      // It counts for nothing.
      this.#ordinary.delete(session);
    }
  }

  abandon(): void {
    for (const session of [...this.#sessions]) session.abandon();
  }

  close(): void {
    for (const session of [...this.#sessions]) session.quit();
  }
}
