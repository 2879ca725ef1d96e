/**
 * SMTP relays over kept connections, in failover order: the next one is used when one cannot be reached or refuses the
 * login. A relay that was in trouble is looked after without a letter, as long as another one takes them: else every
 * second one letter would wait for it in vain. Letters beyond what the connections carry wait here, in order, urgent ones
 * first.
 *
 * The pieces: `smtp-relay` reads the URL, `smtp-connection` opens a connection, `smtp-session` sends letters over it,
 * `smtp-pool` has those of one relay, `smtp-letter` knows what became of a letter.
 */
import { type Patience, patience as usualPatience } from './patience.ts';
import { RefusedConnection, stopped } from './smtp-connection.ts';
import { Letter } from './smtp-letter.ts';
import { Line } from './smtp-line.ts';
import { Pool } from './smtp-pool.ts';
import { parseRelay } from './smtp-relay.ts';
import { brief, toReply } from './smtp-replies.ts';
import { type Delivery, notReached, type OutgoingMessage, type Reply, type Transport } from './transport.ts';

export interface SmtpOptions {
  /** As in `SMTP_URL`. */
  urls: readonly string[];
  /** To each relay; urgent letters have `reserved` more. */
  connections?: number;
  reserved?: number;
  patience?: Partial<Patience>;
}

/** A letter whose connections keep going away is put off, as one that was refused for now. */
const maxMoves = 3;

export class SmtpTransport implements Transport {
  readonly #pools: Pool[];
  readonly #line = new Line();
  readonly #end = new AbortController();
  readonly #patience: Patience;
  #ticking: NodeJS.Timeout | undefined;

  constructor({ urls, connections = 20, reserved = 4, patience }: SmtpOptions) {
    this.#patience = { ...usualPatience, ...patience };
    this.#pools = urls.map((url) => {
      const pool: Pool = new Pool({
        relay: parseRelay(url),
        line: this.#line,
        patience: this.#patience,
        connections,
        reserved,
        signal: this.#end.signal,
        isChosen: () => this.#chosen() === pool,
        openTimeout: () => (this.#hasAnother(pool) ? this.#patience.impatient : this.#patience.open),
        giveBack: (letter) => this.#giveBack(letter),
        changed: () => this.#serve(),
      });
      return pool;
    });
  }

  send(message: OutgoingMessage): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      this.#line.add(new Letter(message, { resolve, reject }));
      this.#serve();
    });
  }

  /** Sees to it that the letters of the line get on their way, or hear that there is none. */
  #serve(): void {
    if (this.#line.length === 0) return;
    for (const pool of this.#pools) if (pool.trouble && this.#hasAnother(pool)) void this.#lookAfter(pool);
    const pool = this.#chosen();
    if (pool) {
      this.#startTicking();
      return void pool.serve();
    }
    const last = this.#pools.at(-1)?.trouble?.error ?? new Error('No SMTP relay is configured.');
    const reply = describe(this.#end.signal.aborted ? stopped() : last);
    for (let letter = this.#line.take(true); letter; letter = this.#line.take(true)) letter.settleUnreached(reply);
  }

  /** The relay that letters go to: the first that works, or else the first that has rested. */
  #chosen(): Pool | undefined {
    if (this.#end.signal.aborted) return undefined;
    const [first] = this.#pools;
    if (first && !first.trouble) return first;
    const now = Date.now();
    return (
      this.#pools.find(({ trouble }) => !trouble) ?? this.#pools.find(({ trouble }) => trouble && trouble.until <= now)
    );
  }

  #hasAnother(pool: Pool): boolean {
    return this.#pools.some((other) => other !== pool && !other.trouble);
  }

  /** Opens a connection to a relay that has rested, for the letters to come. */
  async #lookAfter(pool: Pool): Promise<void> {
    if (!pool.trouble || pool.trouble.until > Date.now()) return;
    pool.trouble.until = Number.POSITIVE_INFINITY;
    this.#startTicking();
    await pool.open();
  }

  #giveBack(letter: Letter): void {
    if (++letter.moves > maxMoves) {
      letter.settleLost(new Error('Connections to the relay were lost one after the other.'));
      return;
    }
    this.#line.putBack(letter);
    this.#serve();
  }

  async reach(): Promise<boolean> {
    const now = Date.now();
    this.#startTicking();
    const rested = this.#pools.filter(({ trouble, isReady }) => (trouble ? trouble.until <= now : !isReady));
    await Promise.all(rested.map((pool) => pool.open()));
    return this.#pools.some(({ trouble }) => trouble === undefined);
  }

  /** One clock for all connections: to keep one for each letter would cost more than the letter. */
  #startTicking(): void {
    this.#ticking ??= setInterval(() => {
      const now = performance.now();
      for (const pool of this.#pools) pool.tick(now);
      this.#serve();
      if (this.#line.length === 0 && this.#pools.every(({ isQuiet }) => isQuiet)) this.#stopTicking();
    }, this.#patience.tick).unref();
  }

  #stopTicking(): void {
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }

  abandon(): void {
    this.#end.abort();
    for (const pool of this.#pools) pool.abandon();
    this.#serve();
  }

  async close(): Promise<void> {
    this.abandon();
    for (const pool of this.#pools) pool.close();
    this.#stopTicking();
  }
}

function describe(error: Error): Reply {
  const text =
    error instanceof RefusedConnection
      ? // About us, not about the letter: so no code, as where nobody answered.
        [error.reply.code, toReply(error.reply).enhanced, toReply(error.reply).text].filter(Boolean).join(' ')
      : // Happy-eyeballs errors (AggregateError) have an empty message.
        error.message || ('code' in error ? String(error.code) : error.name);
  return { code: null, enhanced: notReached, text: brief(text) };
}
