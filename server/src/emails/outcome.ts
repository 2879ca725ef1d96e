/** What an attempt means for a letter and its recipients. Nothing here touches the database. */
import { newId } from '../crypto/ids.ts';
import type { ClaimedEmail } from '../queue/queue.ts';
import type { Delivery, RecipientResult, Reply } from '../transport/transport.ts';
import type { LetterRecipient, LetterRow, Settlement } from './delivery-store.ts';
import type { EmailStatus } from './email.ts';
import { refusesAddress } from './hard-bounce.ts';
import { nextAttemptAt } from './retry-policy.ts';

/** A letter in the hands of a worker. */
export type HeldLetter = LetterRow & { claim: ClaimedEmail };

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
  const next = nextAttemptAt({
    isOtp: letter.claim.lane === 0,
    attempts: letter.claim.attempts + 1,
    endedAt: now,
    expiresAt: letter.expires_at,
    random,
  });
  const byAddress = new Map(results.map((result) => [result.address, result]));
  const changes = letter.recipients.filter(isToBeTried).map((recipient) => {
    const result = byAddress.get(recipient.address) ?? unanswered(recipient);
    return { recipient, result, ...judge(letter, result, next) };
  });
  const suppressed = letter.recipients.filter((one) => isOpen(one) && !isToBeTried(one));
  const settlement = build(
    letter,
    1,
    [
      ...changes.map(({ recipient, result: { reply }, status }) => ({
        position: recipient.position,
        status,
        reply_code: reply.code,
        reply_enhanced: reply.enhanced,
        reply_text: reply.text,
        next_attempt_at: status === 'deferred' ? (next?.toISOString() ?? null) : null,
      })),
      ...suppressed.map(withoutAttempt),
    ],
    next,
  );
  settlement.events = [
    ...changes.map(({ recipient, result: { reply }, status, event }) =>
      eventOf(event, recipient, now, {
        ...reply,
        ...(status === 'deferred' && next ? { next_attempt_at: next.toISOString() } : {}),
      }),
    ),
    ...suppressed.map((one) => eventOf('email.suppressed', one, now, { reason: one.suppression })),
  ];
  settlement.refused = changes
    .filter(({ result: { reply }, status }) => status === 'bounced' && refusesAddress(reply))
    .map(({ recipient: { address }, result: { reply } }) => ({ address, detail: replyLine(reply) }));
  return settlement;
}

function eventOf(
  type: string,
  { address }: LetterRecipient,
  now: Date,
  data: Record<string, unknown>,
): Settlement['events'][number] {
  return { id: newId(), type, at: now.toISOString(), recipient: address, data };
}

/** Somebody put the address on the list after the letter was accepted. */
function withoutAttempt({ position }: LetterRecipient): Settlement['recipients'][number] {
  return {
    position,
    status: 'suppressed',
    reply_code: null,
    reply_enhanced: null,
    reply_text: null,
    next_attempt_at: null,
    attempts: 0,
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
  const changed = letter.recipients.filter(isOpen);
  const settlement = build(
    letter,
    0,
    changed.map(({ position }) => ({
      position,
      status,
      reply_code: null,
      reply_enhanced: null,
      reply_text: reason,
      next_attempt_at: null,
    })),
    undefined,
  );
  settlement.events = changed.map((one) => eventOf(`email.${status}`, one, now, { reason }));
  return settlement;
}

function judge(
  letter: HeldLetter,
  { outcome }: RecipientResult,
  next: Date | undefined,
): { status: EmailStatus; event: string } {
  if (outcome === 'sent') return { status: 'sent', event: 'email.sent' };
  if (outcome === 'bounced') return { status: 'bounced', event: 'email.bounced' };
  if (outcome === 'failed') return { status: 'failed', event: 'email.failed' };
  if (outcome === 'uncertain') {
    const isHeld = letter.on_uncertain === 'hold' || next === undefined;
    return { status: isHeld ? 'uncertain' : 'deferred', event: 'email.uncertain' };
  }
  return next ? { status: 'deferred', event: 'email.delivery_delayed' } : { status: 'failed', event: 'email.failed' };
}

function unanswered({ address }: LetterRecipient): RecipientResult {
  return { address, outcome: 'deferred', reply: { code: null, enhanced: null, text: 'The transport gave no answer.' } };
}

function build(
  letter: HeldLetter,
  attempts: 0 | 1,
  recipients: Settlement['recipients'],
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
    recipients,
    events: [],
    refused: [],
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
