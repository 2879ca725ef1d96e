/**
 * Transport: how a letter leaves this machine. A transport is given the finished message and its envelope, and answers
 * for each recipient what the next hop said. It knows neither queue nor history, and never tries again on its own once
 * a part of the message has been sent.
 *
 * SMTP relays are the transport of now. Direct delivery to MX hosts and providers' HTTP APIs are meant to stand beside
 * `smtp.ts` and to pass the same tests.
 */

export interface OutgoingMessage {
  /** Envelope sender (MAIL FROM). */
  from: string;
  /** Envelope recipients (RCPT TO), each once. */
  recipients: string[];
  /**
   * The whole message as of RFC 5322, lines ended by CRLF, dots not stuffed. A large one comes in pieces, and is asked for
   * once for each try.
   */
  content: Buffer | (() => AsyncIterable<Buffer>);
  /** Of the content, in octets. */
  size: number;
  /** Goes before whatever waits, over connections kept free for such. */
  isUrgent: boolean;
  /** Asked each time before it is begun; where not, `send` rejects with `NoLongerOurs`. Absent: it always is. */
  isStillOurs?: () => boolean;
}

/** Somebody else may send the message by now, so it was not begun. */
export class NoLongerOurs extends Error {}

export interface Reply {
  /** SMTP reply code; null when no server answered. */
  code: number | null;
  /** Enhanced status code of RFC 3463, e.g. `5.1.1`. */
  enhanced: string | null;
  text: string;
}

/** The enhanced code (RFC 3463, "no answer from host") of a result where no next hop could be reached. */
export const notReached = '4.4.1';

export type Outcome =
  /** The next hop has taken responsibility. */
  | 'sent'
  /** Not now: a 4xx reply, or a connection that failed before the whole message was handed over. */
  | 'deferred'
  /** Never: this recipient was refused (5xx to RCPT TO). */
  | 'bounced'
  /** Never: the message was refused for everyone (5xx to MAIL FROM or DATA). */
  | 'failed'
  /** Handed over whole, but the connection broke before the reply: nobody can know. */
  | 'uncertain';

export interface RecipientResult {
  address: string;
  outcome: Outcome;
  reply: Reply;
}

export interface Delivery {
  /** One for each recipient of the message. */
  results: RecipientResult[];
  /** False where no next hop could be reached at all, so that the trouble is not this letter's. */
  reached: boolean;
}

export interface Transport {
  /** Resolves with the next hop's answers, whatever they are; rejects with NoLongerOurs, or where the program is wrong. */
  send: (message: OutgoingMessage) => Promise<Delivery>;
  /** Tries to get a connection to a next hop, for the sends to come. Resolves with whether there is one. */
  reach: () => Promise<boolean>;
  /** Cuts the sends in progress, which then resolve with what is known; no other may follow. */
  abandon: () => void;
  /** Ends kept connections; no send may be in progress. */
  close: () => Promise<void>;
}
