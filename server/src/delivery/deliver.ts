import type { Logger } from 'pino';
import { type Delivery, NoLongerOurs, type Transport } from '../transport/transport.ts';
import { type ComposeParts, compose } from './compose.ts';
import { isCode } from './hold.ts';
import { endWithoutAttempt, type HeldLetter, isToBeTried, settlementOf } from './outcome.ts';
import type { Settlement } from './store.ts';

interface Parts extends ComposeParts {
  transport: Transport;
  log: Logger;
}

/** A letter claimed more often than this without an outcome is taken to be what kills its worker. */
const maxClaims = 5;

/**
 * Makes one attempt at a letter: composes it and hands it to the transport for the recipients that are still open.
 * Does not reject: whatever happens becomes an outcome.
 *
 * @returns what to write down, and what the transport said; undefined where it was not asked. Neither where the lease has
 *   run out: then it is another worker's to say
 */
export async function deliver(
  parts: Parts,
  letter: HeldLetter,
): Promise<{ settlement?: Settlement; delivery?: Delivery }> {
  const { transport, log } = parts;
  const unasked = endingOf(parts, letter);
  if (unasked) return { settlement: unasked };
  const recipients = letter.recipients.filter(isToBeTried).map(({ address }) => address);
  // All may have been suppressed since the letter was accepted.
  if (recipients.length === 0) return { settlement: settlementOf(letter, noAnswer, new Date(), Math.random()) };
  try {
    const message = await compose(parts, letter);
    const delivery = await transport.send({
      ...message,
      recipients,
      isUrgent: isCode(letter.claim),
      // It may wait for a connection, and this process may sleep meanwhile.
      isStillOurs: () => letter.claim.leaseEndsAt > performance.now(),
    });
    return { settlement: settlementOf(letter, delivery, new Date(), Math.random()), delivery };
  } catch (error) {
    if (error instanceof NoLongerOurs) return {};
    // Composing or our own code failed: to try again later is all that can be done about it.
    log.error({ err: error, email: letter.id }, 'a delivery failed on our side');
    return { settlement: settlementOf(letter, noAnswer, new Date(), Math.random()) };
  }
}

const noAnswer: Delivery = { results: [], reached: true };

/** The end of a letter that is not to be tried any more. */
function endingOf({ log }: Parts, letter: HeldLetter): Settlement | undefined {
  const { id, claim, expires_at: expiresAt } = letter;
  if (claim.isExpired || (expiresAt !== null && expiresAt.getTime() <= Date.now())) {
    return endWithoutAttempt(letter, 'expired', 'expires_at has passed', new Date());
  }
  if (claim.claims <= maxClaims) return undefined;
  log.error(
    { email: id, claims: claim.claims },
    'a letter was claimed again and again without an outcome; quarantined',
  );
  const reason = `poison: claimed ${claim.claims} times without an outcome; POST /emails/{id}/retry queues it again`;
  return endWithoutAttempt(letter, 'failed', reason, new Date());
}
