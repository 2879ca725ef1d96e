/** One kept connection to one relay: opening it, and what became of a message sent over it. */
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Outcome, OutgoingMessage, RecipientResult, Reply } from './transport.ts';

export interface Relay {
  host: string;
  port: number;
  /** TLS from the first byte (smtps). */
  secure: boolean;
  user: string;
  pass: string;
}

/** What nodemailer tells about a failure. */
interface SmtpError extends Error {
  code?: string | undefined;
  /** The server's last reply, code included. */
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
  rejectedErrors?: SmtpError[] | undefined;
}

const connectionTimeout = 10_000;
const greetingTimeout = 10_000;
const socketTimeout = 60_000;
/** For a server that stays alive without getting on: 1 byte a second resets every other timeout. */
const openTimeout = 30_000;
const sendTimeout = 180_000;
const resetTimeout = 5_000;
const chunkSize = 64 * 1024;

export function parseRelay(url: string): Relay {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === 'smtps:';
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (secure ? 465 : 587) : Number(port),
    secure,
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
  };
}

export interface Patience {
  /** Milliseconds. */
  timeout?: number;
  /** Cuts the connection when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * Connects, greets, encrypts where the relay offers it, and logs in.
 * @throws SmtpError
 */
export async function openConnection(
  relay: Relay,
  { timeout = openTimeout, signal }: Patience = {},
): Promise<SMTPConnection> {
  const { user, pass } = relay;
  const connection = new SMTPConnection(optionsFor(relay));
  let stopWatching = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        // First, because closing emits "end".
        reject(error);
        connection.close();
      };
      stopWatching = watch({ timeout, signal }, fail);
      connection.on('error', fail);
      connection.once('end', () => fail(new Error('The server closed the connection.')));
      connection.connect((error) => {
        if (error) return fail(error);
        if (user === '' || !connection.allowsAuth) return resolve(connection);
        connection.login({ user, pass }, (refused) => (refused ? fail(refused) : resolve(connection)));
      });
    });
  } finally {
    stopWatching();
  }
}

function optionsFor({ host, port, secure }: Relay) {
  return {
    host,
    port,
    secure,
    connectionTimeout,
    greetingTimeout,
    socketTimeout,
    dnsTimeout: connectionTimeout,
    allowInternalNetworkInterfaces: true,
    // On the machine itself there is nobody in between, and no authority would sign for "localhost".
    tls: { rejectUnauthorized: !isLoopback(host) },
  };
}

/** Calls `cut` when time is up or whoever waits has gone. Returns how to end that. */
function watch({ timeout, signal }: Patience, cut: (error: SmtpError) => void): () => void {
  const late = () => cut(Object.assign(new Error('The server took too long.'), { code: 'ETIMEDOUT' }));
  const aborted = () =>
    cut(Object.assign(new Error('The service stopped before the server answered.'), { code: 'ETIMEDOUT' }));
  const timer = setTimeout(late, timeout);
  signal?.addEventListener('abort', aborted, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export interface Sending {
  results: RecipientResult[];
  /** Whether the connection can carry another message. */
  isUsable: boolean;
  /** Nothing of the message had been sent when the connection turned out to be gone; one that hangs is not gone. */
  isUntouched: boolean;
}

/** Sends a message and tells what became of each recipient. Does not reject. */
export function sendOver(
  connection: SMTPConnection,
  { from, recipients, raw }: OutgoingMessage,
  { signal }: Patience = {},
): Promise<Sending> {
  const { stream, progress } = readSlowly(raw);
  return new Promise((resolve) => {
    const finish = (sending: Sending) => {
      stopWatching();
      resolve(sending);
    };
    const fail = (error: SmtpError) => {
      const sending = {
        results: resultsOfFailure(error, recipients, progress.isRead),
        isUsable: false,
        isUntouched: !progress.isBegun && !isRefusal(error) && error.code !== 'ETIMEDOUT',
      };
      if (!isRefusal(error) || error.responseCode === 421 || connection.destroyed) return finish(sending);
      // The letter was refused, the connection is fine: end the transaction and keep it. The refusal stands in any case.
      stopWatching();
      stopWatching = watch({ timeout: resetTimeout, signal }, () => finish(sending));
      connection.reset((lost) => finish({ ...sending, isUsable: !lost }));
    };
    let stopWatching = watch({ timeout: sendTimeout, signal }, (error) => {
      connection.close();
      fail(error);
    });
    connection.send({ from, to: recipients, size: raw.length }, stream, (error, info) => {
      if (error || !info) return fail(error ?? new Error('The server did not answer.'));
      const reply = parseReply(info.response);
      const refused = new Map(info.rejectedErrors?.map((one: SmtpError) => [one.recipient, one]));
      const results = recipients.map((address) => {
        const refusal = refused.get(address);
        return refusal ? refusalOf(address, refusal, 'bounced') : { address, outcome: 'sent' as const, reply };
      });
      finish({ results, isUsable: true, isUntouched: false });
    });
  });
}

/** The message in pieces, so that "all of it was read" comes close to "all of it was sent". */
function readSlowly(raw: Buffer) {
  const progress = { isBegun: false, isRead: false };
  let offset = 0;
  const stream = new Readable({
    highWaterMark: chunkSize,
    read() {
      progress.isBegun = true;
      this.push(raw.subarray(offset, offset + chunkSize));
      offset += chunkSize;
      if (offset >= raw.length) this.push(null);
    },
  });
  stream.once('end', () => {
    progress.isRead = true;
  });
  return { stream, progress };
}

function isRefusal({ code, responseCode }: SmtpError): boolean {
  return (code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode !== undefined;
}

function resultsOfFailure(error: SmtpError, recipients: string[], isRead: boolean): RecipientResult[] {
  if (error.rejectedErrors) {
    const refused = new Map(error.rejectedErrors.map((one) => [one.recipient, one]));
    return recipients.map((address) => refusalOf(address, refused.get(address) ?? error, 'bounced'));
  }
  if (isRefusal(error) || error.code === 'EMESSAGE') {
    return recipients.map((address) => refusalOf(address, error, 'failed'));
  }
  const outcome: Outcome = isRead ? 'uncertain' : 'deferred';
  // Lost connection, in the code every MTA writes into its log for it.
  const reply = { ...replyOf(error), enhanced: '4.4.2' };
  return recipients.map((address) => ({ address, outcome, reply }));
}

function refusalOf(address: string, error: SmtpError, final: 'bounced' | 'failed'): RecipientResult {
  const code = error.responseCode;
  // Without a reply it is ours: larger than the relay says it takes. One without a code says nothing of the letter, and
  // 503 is about the session.
  const isFinal = code === undefined ? error.response === undefined : code >= 500 && code !== 503;
  return { address, outcome: isFinal ? final : 'deferred', reply: replyOf(error) };
}

export function replyOf(error: SmtpError): Reply {
  if (error.response) return parseReply(error.response);
  return { code: null, enhanced: null, text: brief(error.message) };
}

/** Takes `250-2.1.5 first line` and its continuation apart (RFC 5321 4.2.1, RFC 2034). */
export function parseReply(response: string): Reply {
  const lines = response.split(/\r?\n/).map((line) => /^(\d{3})[ -]?(?:([245]\.\d{1,3}\.\d{1,3}) ?)?(.*)$/.exec(line));
  const [first] = lines;
  const text = lines
    .map((line) => line?.[3] ?? '')
    .join(' ')
    .trim();
  return {
    code: first ? Number(first[1]) : null,
    enhanced: first?.[2] ?? null,
    text: brief(first ? text : response),
  };
}

/** History needs no essay, and PostgreSQL keeps neither NUL nor the half of a character that was cut in two. */
function brief(text: string): string {
  return text.replaceAll('\0', '').slice(0, 1_000).toWellFormed();
}
