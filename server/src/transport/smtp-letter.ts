/** A letter on its way through SMTP: its envelope for one relay, and what is known of each recipient. */
import { domainToASCII } from 'node:url';
import type { Extensions } from './smtp-connection.ts';
import { hasUtf8Header, inspect } from './smtp-content.ts';
import { type ServerReply, toReply } from './smtp-replies.ts';
import {
  type Delivery,
  NoLongerOurs,
  type Outcome,
  type OutgoingMessage,
  type RecipientResult,
  type Reply,
} from './transport.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const unfit = /[\x00-\x20\x7f<>]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the question is whether it is ASCII
const nonAscii = /[^\x00-\x7f]/;

/** What most addresses are made of. */
const plain = /^[!-;=?-~]*$/;

export class Letter {
  readonly message: OutgoingMessage;
  readonly isUrgent: boolean;
  /** How often it was taken from a connection that was of no use to it. */
  moves = 0;
  /** Those that RCPT is sent for, in the order of the replies. */
  recipients: string[] = [];
  /** MAIL, then RCPT for each of `recipients`. */
  envelope = '';
  /** Whether the envelope has octets above 127. */
  isUtf8 = false;
  /** How many replies to the commands of the envelope have come. */
  answered = 0;
  /** Set by a refusal of MAIL. */
  refusal: ServerReply | undefined;
  /** `performance.now()` when the connection began to be this letter's. */
  startedAt = 0;
  /** A part of the message, all of the message. */
  isBegun = false;
  isHandedOver = false;
  /** It goes as it is, when it stands in one buffer. */
  isClean = false;
  #is8Bit: boolean | undefined;
  #refused: Map<string, RecipientResult> | undefined;
  readonly #resolve: (delivery: Delivery) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    message: OutgoingMessage,
    settle: { resolve: (delivery: Delivery) => void; reject: (error: unknown) => void },
  ) {
    this.message = message;
    this.isUrgent = message.isUrgent;
    this.#resolve = settle.resolve;
    this.reject = settle.reject;
  }

  /**
   * Makes ready for a connection to a server with these extensions.
   * @returns false where nobody is left to send it to: what is known then has been told
   */
  prepare(extensions: Extensions): boolean {
    const { from, recipients, content, size, isStillOurs } = this.message;
    if (isStillOurs && !isStillOurs()) {
      this.reject(new NoLongerOurs());
      return false;
    }
    this.answered = 0;
    this.refusal = undefined;
    this.#refused = undefined;
    this.isBegun = false;
    this.isHandedOver = false;
    const sender = asPath(from, extensions);
    if (typeof sender !== 'string') return this.#settleAll('failed', sender.isSyntax ? noSender(sender) : sender.reply);
    const { largest } = extensions;
    if (largest > 0 && size > largest) {
      const text = `The message has ${size} octets; the relay takes no more than ${largest}.`;
      return this.#settleAll('failed', { code: null, enhanced: '5.3.4', text });
    }
    this.recipients = [];
    let commands = '';
    for (const address of recipients) {
      const path = asPath(address, extensions);
      if (typeof path === 'string') {
        this.recipients.push(address);
        commands += `RCPT TO:<${path}>\r\n`;
      } else this.#note(address, 'bounced', path.reply);
    }
    if (this.recipients.length === 0) return this.#settleAll('bounced', noReply);
    const is8Bit = this.#inspect();
    // Without SMTPUTF8 there is nothing else than ASCII left.
    const isUtf8Message = is8Bit && Buffer.isBuffer(content) && hasUtf8Header(content);
    if (isUtf8Message && !extensions.smtpUtf8) {
      const text = 'The relay does not offer SMTPUTF8, and the header holds an address that needs it.';
      return this.#settleAll('failed', { code: null, enhanced: '5.6.7', text });
    }
    this.isUtf8 = extensions.smtpUtf8 && nonAscii.test(sender + commands);
    let mail = `MAIL FROM:<${sender}>`;
    if (extensions.size) mail += ` SIZE=${size}`;
    if (is8Bit && extensions.eightBitMime) mail += ' BODY=8BITMIME';
    if (this.isUtf8 || isUtf8Message) mail += ' SMTPUTF8';
    this.envelope = `${mail}\r\n${commands}`;
    return true;
  }

  /** What comes in pieces is not read twice: that it may hold octets above 127 does no harm where it holds none. */
  #inspect(): boolean {
    if (this.#is8Bit !== undefined) return this.#is8Bit;
    const { content } = this.message;
    if (Buffer.isBuffer(content)) {
      const { isClean, is8Bit } = inspect(content);
      this.isClean = isClean;
      this.#is8Bit = is8Bit;
    } else this.#is8Bit = true;
    return this.#is8Bit;
  }

  /** A recipient was refused. */
  refuse(address: string, reply: ServerReply): void {
    this.#note(address, judge(reply, 'bounced'), toReply(reply));
  }

  #note(address: string, outcome: Outcome, reply: Reply): void {
    this.#refused ??= new Map();
    this.#refused.set(address, { address, outcome, reply });
  }

  /** Whether anybody is left who was not refused. */
  get hasRecipients(): boolean {
    return this.#refused === undefined || this.#refused.size < this.message.recipients.length;
  }

  /** The server's word for all who were not refused before. */
  settle(reply: ServerReply): void {
    this.#settleAll(reply.code < 300 ? 'sent' : judge(reply, 'failed'), toReply(reply));
  }

  /** Tells what is known: all who were refused, where all were. */
  settleRefused(): void {
    if (this.refusal) this.settle(this.refusal);
    else this.#settleAll('deferred', noReply);
  }

  /** The connection was lost, in the code every MTA writes into its log for it. */
  settleLost(error: Error): void {
    const outcome = this.isHandedOver ? 'uncertain' : 'deferred';
    this.#settleAll(outcome, { code: null, enhanced: '4.4.2', text: error.message });
  }

  /** The server answers something else than what it was asked, so that no reply of its means anything. */
  settleFault(error: Error): void {
    if (!this.isHandedOver) this.#refused = undefined;
    const outcome = this.isHandedOver ? 'uncertain' : 'deferred';
    this.#settleAll(outcome, { code: null, enhanced: '4.5.0', text: error.message });
  }

  /** No next hop could be reached. */
  settleUnreached(reply: Reply): void {
    this.#refused = undefined;
    this.#settleAll('deferred', reply, false);
  }

  #settleAll(outcome: Outcome, reply: Reply, reached = true): false {
    const refused = this.#refused;
    const results = this.message.recipients.map((address) => refused?.get(address) ?? { address, outcome, reply });
    this.#resolve({ results, reached });
    return false;
  }
}

const noReply: Reply = { code: null, enhanced: null, text: '' };

/** What a refusal comes to. 503 is about the session, not about the letter. */
function judge({ code }: ServerReply, final: 'bounced' | 'failed'): Outcome {
  return code >= 500 && code !== 503 ? final : 'deferred';
}

interface Unfit {
  reply: Reply;
  isSyntax: boolean;
}

/**
 * An address as it stands in MAIL or RCPT: its domain in A-labels, which every server knows, so that only a local part
 * needs SMTPUTF8 (RFC 6531 3.2).
 */
function asPath(address: string, { smtpUtf8 }: Extensions): string | Unfit {
  if (plain.test(address)) return address;
  if (unfit.test(address)) return badSyntax('The address holds a character that would end it.');
  const at = address.lastIndexOf('@');
  const domain = domainToASCII(address.slice(at + 1));
  const local = address.slice(0, at + 1);
  if (at === -1 || domain === '') return badSyntax('The address is not one.');
  if (!nonAscii.test(local) || smtpUtf8) return local + domain;
  const text = `The relay does not offer SMTPUTF8, and ${address} cannot be written without it.`;
  return { reply: { code: null, enhanced: '5.6.7', text }, isSyntax: false };
}

function badSyntax(text: string): Unfit {
  return { reply: { code: null, enhanced: '5.1.3', text }, isSyntax: true };
}

/** RFC 3463: 5.1.3 is about a recipient, 5.1.7 about the sender. */
function noSender({ reply }: Unfit): Reply {
  return { ...reply, enhanced: '5.1.7' };
}
