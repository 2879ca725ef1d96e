/**
 * The short way of a letter: the process that accepts it hands it to the worker on a thread of its own. The lease is
 * written with the letter, in one commit, and the letter goes along, so that it is neither claimed nor loaded. Whatever
 * becomes of the process, the lease runs out and the queue has it.
 *
 * The worker opens a window as wide as its hand is free, and only where its last claim left nothing behind: what waits in
 * the queue goes first, in the order of lanes and turns of tenants. A letter that finds the window shut goes there too.
 */
import type { Handoff } from '../emails/accept.ts';
import type { EmailRow, RecipientRow, SuppressedRecipient } from '../emails/store.ts';
import type { LeasedLetters } from '../emails/submit.ts';
import { leaseSeconds } from '../queue/queue.ts';
import { type HeldLetter, hold, isToBeTried } from './outcome.ts';
import type { LetterRecipient, LetterRow } from './store.ts';

/** What the accepting thread says to the worker's. */
export interface HandedLetters {
  /** `LeasedLetters` as JSON: a thread is told one long string for a fraction of what as many small objects cost. */
  letters: string;
  /** As many of them as the room that was reserved. */
  count: number;
  leasedAt: number;
}

/**
 * Memory that both threads share: how many letters may have been handed over in all, which the worker alone writes.
 * Numbers here go around at 2³²; only differences count.
 */
export function makeWindow(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/** The accepting end. @param send posts it to the worker that reads the window */
export function makeHandoff(window: Int32Array<SharedArrayBuffer>, send: (handed: HandedLetters) => void): Handoff {
  let reserved = 0;
  return {
    reserve: (count) => {
      const room = (Atomics.load(window, 0) - reserved) | 0;
      const granted = Math.max(0, Math.min(count, room));
      reserved = (reserved + granted) | 0;
      return granted;
    },
    giveBack: (count) => {
      reserved = (reserved - count) | 0;
    },
    handOver: (letters, count, leasedAt) => send({ letters: JSON.stringify(letters), count, leasedAt }),
  };
}

/** Where there is no worker in the process: every letter goes by the queue. */
export const noHandoff: Handoff = { reserve: () => 0, giveBack: () => {}, handOver: () => {} };

/** The worker's end. */
export class HandoffWindow {
  readonly #window: Int32Array<SharedArrayBuffer>;
  #received = 0;

  constructor(window: Int32Array<SharedArrayBuffer>) {
    this.#window = window;
  }

  /** Lets in so many letters beside those that have come, and none that were let in before and have not. */
  open(room: number): void {
    Atomics.store(this.#window, 0, (this.#received + room) | 0);
  }

  /** Takes in what was handed over. */
  receive({ letters, count, leasedAt }: HandedLetters): HeldLetter[] {
    this.#received = (this.#received + count) | 0;
    const leased: Omit<LeasedLetters, 'createdAt'> & { createdAt: string } = JSON.parse(letters);
    const createdAt = new Date(leased.createdAt);
    const recipients = Map.groupBy(leased.recipients, ({ email_id: emailId }) => emailId);
    const suppressed = Map.groupBy(leased.suppressed, ({ email_id: emailId }) => emailId);
    const leaseEndsAt = performance.now() - (Number(process.hrtime.bigint()) / 1e6 - leasedAt) + leaseSeconds * 1_000;
    return leased.rows.flatMap((row) => {
      const letter = letterOf(row, recipients.get(row.id) ?? [], suppressed.get(row.id) ?? [], createdAt);
      const claim = {
        id: row.id,
        tenantId: row.tenant_id,
        lane: 1,
        attempts: 0,
        claims: 1,
        isExpired: letter.expires_at !== null && letter.expires_at.getTime() <= Date.now(),
        leaseToken: row.lease_token ?? '',
        leaseEndsAt,
      };
      // One that goes to nobody ended when it was accepted.
      return letter.recipients.some(isToBeTried) ? [hold(letter, claim)] : [];
    });
  }
}

/** The letter as it would be loaded. */
function letterOf(
  row: EmailRow,
  recipients: RecipientRow[],
  suppressed: SuppressedRecipient[],
  createdAt: Date,
): LetterRow {
  return {
    id: row.id,
    tenant_id: row.tenant_id,
    lane: row.lane,
    message_id: row.message_id,
    mail_from: row.mail_from,
    subject: row.subject,
    on_uncertain: row.on_uncertain ?? 'retry',
    created_at: createdAt,
    expires_at: row.expires_at === undefined ? null : new Date(row.expires_at),
    reply_to: row.reply_to ?? null,
    headers: row.headers ?? null,
    text_body: row.text_body ?? null,
    html_body: row.html_body ?? null,
    sealed: row.sealed === undefined ? null : Buffer.from(row.sealed.slice(2), 'hex'),
    attachments: null,
    recipients: recipients.map(({ position = 0, kind = 'to' as const, address, name = null }): LetterRecipient => {
      const suppression = suppressed.find((one) => one.position === position)?.suppression ?? null;
      return { position, kind, address, name, status: suppression ? 'suppressed' : 'queued', suppression };
    }),
  };
}
