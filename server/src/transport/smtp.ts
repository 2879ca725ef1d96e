import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import { openConnection, parseRelay, type Relay, replyOf, sendOver } from './smtp-connection.ts';
import { type Delivery, notReached, type OutgoingMessage, type Reply, type Transport } from './transport.ts';

/** A relay keeps a connection that nobody uses for about five minutes; we let go first. */
const idleTimeout = 30_000;
/** How long a relay that could not be reached is passed over. */
const restMilliseconds = 1_000;

/** A relay with its idle connections. */
interface Pool {
  relay: Relay;
  idle: { connection: SMTPConnection; expiry: NodeJS.Timeout }[];
  /** Set when it could not be reached. */
  trouble: { until: number; error: Error } | undefined;
}

/**
 * SMTP relays over kept connections, in failover order: the next one is tried when one cannot be reached or refuses the
 * login. How many connections there are at once is the business of whoever sends.
 */
export class SmtpTransport implements Transport {
  readonly #pools: Pool[];

  constructor({ urls }: { urls: readonly string[] }) {
    this.#pools = urls.map((url) => ({ relay: parseRelay(url), idle: [], trouble: undefined }));
  }

  async send(message: OutgoingMessage): Promise<Delivery> {
    let error: Error = new Error('No SMTP relay is configured.');
    for (const pool of this.#pools) {
      if (pool.trouble && pool.trouble.until > Date.now()) {
        error = pool.trouble.error;
        continue;
      }
      try {
        const delivery = await sendThrough(pool, message);
        pool.trouble = undefined;
        return delivery;
      } catch (caught) {
        error = caught instanceof Error ? caught : new Error(String(caught));
        pool.trouble = { until: Date.now() + restMilliseconds, error };
      }
    }
    const reply = describe(error);
    return {
      results: message.recipients.map((address) => ({ address, outcome: 'deferred', reply })),
      reached: false,
    };
  }

  async close(): Promise<void> {
    for (const { idle } of this.#pools) {
      for (const { connection, expiry } of idle.splice(0)) {
        clearTimeout(expiry);
        connection.quit();
      }
    }
  }
}

/** @throws Error when no connection can be made */
async function sendThrough(pool: Pool, message: OutgoingMessage): Promise<Delivery> {
  // Kept connections may have been closed by the relay without our knowing; a new one tells for certain.
  for (let kept = takeIdle(pool); kept; kept = takeIdle(pool)) {
    const sending = await sendOver(kept, message);
    keepOrClose(pool, kept, sending.isUsable);
    if (!sending.isUntouched) return { results: sending.results, reached: true };
  }
  const connection = await openConnection(pool.relay);
  // From here on failures reach whoever sends; an idle connection's end is seen in takeIdle.
  connection.removeAllListeners('error');
  connection.on('error', () => {});
  const { results, isUsable } = await sendOver(connection, message);
  keepOrClose(pool, connection, isUsable);
  return { results, reached: true };
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
