/** What an attempt means for a letter and its recipients. Nothing here touches the database. */
import { newId } from '../crypto/ids.ts';
import type { EmailStatus } from '../emails/email.ts';
import type { ClaimedEmail } from '../queue/queue.ts';
import type { Delivery, RecipientResult, Reply } from '../transport/transport.ts';
import { destinationOf } from './destinations.ts';
import { refusesAddress } from './hard-bounce.ts';
import { isTransactionFull, kindOf } from './reply-kind.ts';
import { nextAttemptAt } from './retry-policy.ts';
import type { LetterRecipient, LetterRow, RecipientOutcome, Settlement } from './store.ts';

/** A letter in the hands of a worker. */
export interface HeldLetter extends LetterRow {
  claim: ClaimedEmail;
  /** The domain of those it is to be tried for, where that is one. */
  destination: string | undefined;
  /** On the clock of `performance.now()`. */
  loadedAt: number;
}

export function hold(row: LetterRow, claim: ClaimedEmail): HeldLetter {
  const addresses = row.recipients.filter(isToBeTried).map(({ address }) => address);
  return { ...row, claim, destination: destinationOf(addresses), loadedAt: performance.now() };
}

const open: ReadonlySet<EmailStatus> = new Set(['scheduled', 'queued', 'sending', 'deferred']);

export function isOpen({ status }: { status: EmailStatus }): boolean {
  return open.has(status);
}

/** Those the next attempt is for. */
export function isToBeTried(recipient: LetterRecipient): boolean {
  return isOpen(recipient) && recipient.suppression === null;
}

/** What the attempt `delivery` makes of the letter's open recipients. */
export function settlementOf(letter: HeldLetter, { results }: Delivery, now: Date, random: number): Settlement {
  const byAddress = new Map(results.map((result) => [result.address, result]));
  const isAnyTaken = results.some(({ outcome }) => outcome === 'sent');
  const nextAfter = ({ reply }: RecipientResult) =>
    nextAttemptAt({
      isOtp: letter.claim.lane === 0,
      attempts: letter.claim.attempts + 1,
      kind: kindOf(reply),
      endedAt: now,
      expiresAt: letter.expires_at,
      random,
    });
  const tried = letter.recipients.filter(isToBeTried).map((recipient) => {
    const result = soften(byAddress.get(recipient.address) ?? unanswered(recipient), isAnyTaken);
    const next = result.outcome === 'deferred' || result.outcome === 'uncertain' ? nextAfter(result) : undefined;
    return { recipient, result, next, ...judge(letter, result, next) };
  });
  // One time for the letter, that of the recipient who may be asked first.
  const next = earliest(tried.flatMap((one) => (one.status === 'deferred' && one.next ? [one.next] : [])));
  const changes = letter.recipients.filter(isOpen).flatMap((recipient): RecipientOutcome[] => {
    const one = tried.find((each) => each.recipient === recipient);
    return [one ? outcomeOf(one, next) : without(recipient, 'suppressed', recipient.suppression)];
  });
  return build(letter, 1, changes, now, next);
}

/** A letter that takes its leave before an attempt: its destination rests. Nobody was asked, so it counts for none. */
export function putOff(letter: HeldLetter, until: Date, reason: string, now: Date): Settlement {
  const next = earliest(letter.expires_at === null ? [until] : [until, letter.expires_at]);
  const changes = letter.recipients.filter(isToBeTried).map(
    ({ position }): RecipientOutcome => ({
      position,
      status: 'deferred',
      attempts: 0,
      reply_code: null,
      reply_enhanced: null,
      reply_text: reason,
      next_attempt_at: next?.toISOString() ?? null,
      event: null,
      refused: null,
    }),
  );
  return build(letter, 0, changes, now, next);
}

function earliest(times: Date[]): Date | undefined {
  return times.length === 0 ? undefined : new Date(Math.min(...times.map(Number)));
}

/** A server that took some recipients and has no room for more in this transaction has refused nobody. */
function soften(result: RecipientResult, isAnyTaken: boolean): RecipientResult {
  const isFull = result.outcome === 'bounced' && isAnyTaken && isTransactionFull(result.reply);
  return isFull ? { ...result, outcome: 'deferred' } : result;
}

interface Tried {
  recipient: LetterRecipient;
  result: RecipientResult;
  status: EmailStatus;
  event: string;
}

function outcomeOf({ recipient, result: { reply }, status, event }: Tried, next: Date | undefined): RecipientOutcome {
  const nextAttempt = status === 'deferred' && next ? next.toISOString() : null;
  return {
    position: recipient.position,
    status,
    attempts: 1,
    reply_code: reply.code,
    reply_enhanced: reply.enhanced,
    reply_text: reply.text,
    next_attempt_at: nextAttempt,
    event: {
      id: newId(),
      type: event,
      data: nextAttempt === null ? null : { ...reply, next_attempt_at: nextAttempt },
    },
    refused: status === 'bounced' && refusesAddress(reply) ? replyLine(reply) : null,
  };
}

/** The end of a recipient whom nobody was asked to take: listed since the letter was accepted, say. */
function without({ position }: LetterRecipient, status: EmailStatus, reason: string | null): RecipientOutcome {
  return {
    position,
    status,
    attempts: 0,
    reply_code: null,
    reply_enhanced: null,
    reply_text: status === 'suppressed' ? null : reason,
    next_attempt_at: null,
    event: { id: newId(), type: status, data: { reason } },
    refused: null,
  };
}

function replyLine({ code, enhanced, text }: Reply): string {
  return [code, enhanced, text].filter((part) => part !== null && part !== '').join(' ');
}

/** The end of a letter that is not tried any more: its time is over, or it has killed its worker too often. */
export function endWithoutAttempt(
  letter: HeldLetter,
  status: 'expired' | 'failed',
  reason: string,
  now: Date,
): Settlement {
  const changes = letter.recipients.filter(isOpen).map((one) => without(one, status, reason));
  return build(letter, 0, changes, now, undefined);
}

function judge(
  letter: HeldLetter,
  { outcome }: RecipientResult,
  next: Date | undefined,
): { status: EmailStatus; event: string } {
  if (outcome === 'sent') return { status: 'sent', event: 'sent' };
  if (outcome === 'bounced') return { status: 'bounced', event: 'bounced' };
  if (outcome === 'failed') return { status: 'failed', event: 'failed' };
  if (outcome === 'uncertain') {
    const isHeld = letter.on_uncertain === 'hold' || next === undefined;
    return { status: isHeld ? 'uncertain' : 'deferred', event: 'uncertain' };
  }
  return next ? { status: 'deferred', event: 'delivery_delayed' } : { status: 'failed', event: 'failed' };
}

function unanswered({ address }: LetterRecipient): RecipientResult {
  return { address, outcome: 'deferred', reply: { code: null, enhanced: null, text: 'The transport gave no answer.' } };
}

function build(
  letter: HeldLetter,
  attempts: 0 | 1,
  recipients: RecipientOutcome[],
  now: Date,
  next: Date | undefined,
): Settlement {
  const changed = new Map(recipients.map(({ position, status }) => [position, status]));
  const statuses = letter.recipients.map((one) => changed.get(one.position) ?? one.status);
  const isEnded = !statuses.includes('deferred');
  return {
    letter: {
      id: letter.id,
      lease_token: letter.claim.leaseToken,
      run_at: isEnded ? null : (next?.toISOString() ?? null),
      status: aggregate(statuses),
      has_seal: letter.sealed !== null,
      attempts,
    },
    at: now.toISOString(),
    recipients,
  };
}

// Gravest first: a letter shows what someone may have to see to. While a recipient is still tried, it is `deferred`.
const gravest: EmailStatus[] = ['deferred', 'uncertain', 'failed', 'bounced', 'expired', 'complained', 'canceled'];

/** The letter's status, from those of its recipients; of the suppressed ones only where there are no others. */
export function aggregate(all: EmailStatus[]): EmailStatus {
  const statuses: EmailStatus[] = all.filter((one) => one !== 'suppressed');
  if (statuses.length === 0) return 'suppressed';
  return (
    gravest.find((one) => statuses.includes(one)) ??
    (statuses.every((one) => one === 'delivered') ? 'delivered' : 'sent')
  );
}
