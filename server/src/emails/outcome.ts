/** What an attempt means for a letter and its recipients. Nothing here touches the database. */
import { newId } from '../crypto/ids.ts';
import type { ClaimedEmail } from '../queue/queue.ts';
import type { Delivery, RecipientResult } from '../transport/transport.ts';
import type { LetterRecipient, LetterRow, Settlement } from './delivery-store.ts';
import type { EmailStatus } from './email.ts';
import { nextAttemptAt } from './retry-policy.ts';

/** A letter in the hands of a worker. */
export type HeldLetter = LetterRow & { claim: ClaimedEmail };

const open: ReadonlySet<EmailStatus> = new Set(['scheduled', 'queued', 'sending', 'deferred']);

export function isOpen({ status }: { status: EmailStatus }): boolean {
  return open.has(status);
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
  const changes = letter.recipients.filter(isOpen).map((recipient) => {
    const result = byAddress.get(recipient.address) ?? unanswered(recipient);
    return { recipient, result, ...judge(letter, result, next) };
  });
  const settlement = build(
    letter,
    1,
    changes.map(({ recipient, result: { reply }, status }) => ({
      position: recipient.position,
      status,
      reply_code: reply.code,
      reply_enhanced: reply.enhanced,
      reply_text: reply.text,
      next_attempt_at: status === 'deferred' ? (next?.toISOString() ?? null) : null,
    })),
    next,
  );
  settlement.events = changes.map(({ recipient, result: { reply }, status, event }) => ({
    id: newId(),
    type: event,
    at: now.toISOString(),
    recipient: recipient.address,
    data: { ...reply, ...(status === 'deferred' && next ? { next_attempt_at: next.toISOString() } : {}) },
  }));
  return settlement;
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
  settlement.events = changed.map(({ address }) => ({
    id: newId(),
    type: `email.${status}`,
    at: now.toISOString(),
    recipient: address,
    data: { reason },
  }));
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
  };
}

// Gravest first: a letter shows what someone may have to see to. While a recipient is still tried, it is `deferred`.
const gravest: EmailStatus[] = [
  'deferred',
  'uncertain',
  'failed',
  'bounced',
  'expired',
  'complained',
  'suppressed',
  'canceled',
];

/** The letter's status, from those of its recipients. */
export function aggregate(statuses: EmailStatus[]): EmailStatus {
  return (
    gravest.find((one) => statuses.includes(one)) ??
    (statuses.every((one) => one === 'delivered') ? 'delivered' : 'sent')
  );
}
