import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { openConnection, type Patience, parseRelay, type Relay, replyOf, sendOver } from './smtp-connection.ts';
import { type Delivery, notReached, type OutgoingMessage, type Reply, type Transport } from './transport.ts';

/** A relay keeps a connection that nobody uses for about five minutes; we let go first. */
const idleTimeout = 30_000;
/** How long a relay that could not be reached is left alone. */
const restMilliseconds = 1_000;
/** A refused login is tried again ever more rarely, up to this: a provider locks who insists. */
const longestRestMilliseconds = 64_000;
/** Where another relay stands ready, a letter waits this long for a connection to the one before it. */
const impatientMilliseconds = 4_000;

/** A relay with its idle connections. */
interface Pool {
  relay: Relay;
  idle: { connection: SMTPConnection; expiry: NodeJS.Timeout }[];
  /** Set when it could not be reached; endless while it is being looked after. */
  trouble: { until: number; error: Error; refusedLogins: number } | undefined;
}

/**
 * SMTP relays over kept connections, in failover order: the next one is tried when one cannot be reached or refuses the
 * login. A relay that was in trouble is looked after without a letter, as long as another one takes them: else every
 * second one letter would wait for it in vain. How many connections there are at once is the business of whoever sends.
 */
export class SmtpTransport implements Transport {
  readonly #pools: Pool[];
  readonly #end = new AbortController();

  constructor({ urls }: { urls: readonly string[] }) {
    this.#pools = urls.map((url) => ({ relay: parseRelay(url), idle: [], trouble: undefined }));
  }

  async send(message: OutgoingMessage): Promise<Delivery> {
    const { signal } = this.#end;
    let error: Error = new Error('No SMTP relay is configured.');
    for (const pool of this.#pools) {
      const isAnotherReady = this.#pools.some((other) => other !== pool && !other.trouble);
      if (pool.trouble && isAnotherReady) void this.#lookAfter(pool);
      if (pool.trouble && (isAnotherReady || pool.trouble.until > Date.now())) {
        error = pool.trouble.error;
        continue;
      }
      try {
        const delivery = await sendThrough(
          pool,
          message,
          isAnotherReady ? { timeout: impatientMilliseconds, signal } : { signal },
        );
        pool.trouble = undefined;
        return delivery;
      } catch (caught) {
        error = noteTrouble(pool, caught);
      }
    }
    const reply = describe(error);
    return {
      results: message.recipients.map((address) => ({ address, outcome: 'deferred', reply })),
      reached: false,
    };
  }

  async reach(): Promise<boolean> {
    const rested = this.#pools.filter(({ trouble }) => !trouble || trouble.until <= Date.now());
    await Promise.all(rested.map((pool) => this.#open(pool)));
    return this.#pools.some(({ trouble }) => trouble === undefined);
  }

  /** Opens a connection to a relay that has rested, for the letters to come. */
  async #lookAfter(pool: Pool): Promise<void> {
    if (!pool.trouble || pool.trouble.until > Date.now()) return;
    pool.trouble.until = Number.POSITIVE_INFINITY;
    await this.#open(pool);
  }

  async #open(pool: Pool): Promise<void> {
    const { signal } = this.#end;
    try {
      const connection = await open(pool.relay, { signal });
      pool.trouble = undefined;
      keepOrClose(pool, connection, !signal.aborted);
    } catch (caught) {
      noteTrouble(pool, caught);
    }
  }

  abandon(): void {
    this.#end.abort();
  }

  async close(): Promise<void> {
    this.abandon();
    for (const { idle } of this.#pools) {
      for (const { connection, expiry } of idle.splice(0)) {
        clearTimeout(expiry);
        connection.quit();
      }
    }
  }
}

/** Leaves a relay alone for a while, and returns what was wrong with it. */
function noteTrouble(pool: Pool, caught: unknown): Error {
  const error = caught instanceof Error ? caught : new Error(String(caught));
  const isRefusedLogin = 'code' in error && error.code === 'EAUTH';
  const refusedLogins = isRefusedLogin ? (pool.trouble?.refusedLogins ?? 0) + 1 : 0;
  const rest = isRefusedLogin
    ? Math.min(longestRestMilliseconds, restMilliseconds * 2 ** refusedLogins)
    : restMilliseconds;
  pool.trouble = { until: Date.now() + rest, error, refusedLogins };
  return error;
}

/** @throws Error when no connection can be made */
async function sendThrough(pool: Pool, message: OutgoingMessage, patience: Patience): Promise<Delivery> {
  // Kept connections may have been closed by the relay without our knowing; a new one tells for certain.
  for (let kept = takeIdle(pool); kept; kept = takeIdle(pool)) {
    const sending = await sendOver(kept, message, patience);
    keepOrClose(pool, kept, sending.isUsable);
    if (!sending.isUntouched) return { results: sending.results, reached: true };
  }
  const connection = await open(pool.relay, patience);
  const { results, isUsable } = await sendOver(connection, message, patience);
  keepOrClose(pool, connection, isUsable);
  return { results, reached: true };
}

async function open(relay: Relay, patience: Patience): Promise<SMTPConnection> {
  const connection = await openConnection(relay, patience);
  // From here on failures reach whoever sends; an idle connection's end is seen in takeIdle.
  connection.removeAllListeners('error');
  connection.on('error', () => {});
  return connection;
}

function takeIdle({ idle }: Pool): SMTPConnection | undefined {
  for (let last = idle.pop(); last; last = idle.pop()) {
    clearTimeout(last.expiry);
    if (!last.connection.destroyed) return last.connection;
  }
  return undefined;
}

function keepOrClose({ idle }: Pool, connection: SMTPConnection, isUsable: boolean): void {
  if (!isUsable || connection.destroyed) {
    connection.close();
    return;
  }
  const entry = {
    connection,
    expiry: setTimeout(() => {
      idle.splice(idle.indexOf(entry), 1);
      connection.quit();
    }, idleTimeout).unref(),
  };
  idle.push(entry);
}

function describe(error: Error): Reply {
  const reply = replyOf(error);
  // Happy-eyeballs errors (AggregateError) have an empty message.
  const text = reply.text || ('code' in error ? String(error.code) : error.name);
  // A reply to the greeting or the login is about us, not about the letter: no code, as where nobody answered.
  return { code: null, enhanced: notReached, text: reply.code === null ? text : `${reply.code} ${text}` };
}
