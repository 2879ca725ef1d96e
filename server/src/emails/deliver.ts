import type { Logger } from 'pino';
import type { Secrets } from '../crypto/secrets.ts';
import type { Delivery, Transport } from '../transport/transport.ts';
import { compose } from './compose.ts';
import type { Settlement } from './delivery-store.ts';
import { endWithoutAttempt, type HeldLetter, isToBeTried, settlementOf } from './outcome.ts';

interface Parts {
  transport: Transport;
  secrets: Secrets;
  log: Logger;
}

/** A letter claimed more often than this without an outcome is taken to be what kills its worker. */
const maxClaims = 5;

/**
 * Makes one attempt at a letter: composes it and hands it to the transport for the recipients that are still open.
 * Does not reject: whatever happens becomes an outcome.
 *
 * @returns what to write down, and whether the next hop was reached; undefined where none was tried
 */
export async function deliver(
  { transport, secrets, log }: Parts,
  letter: HeldLetter,
): Promise<{ settlement: Settlement; reached: boolean | undefined }> {
  const { claim } = letter;
  if (claim.isExpired || (letter.expires_at !== null && letter.expires_at.getTime() <= Date.now())) {
    return {
      settlement: endWithoutAttempt(letter, 'expired', 'expires_at has passed', new Date()),
      reached: undefined,
    };
  }
  if (claim.claims > maxClaims) {
    log.error(
      { email: letter.id, claims: claim.claims },
      'a letter was claimed again and again without an outcome; quarantined',
    );
    const reason = `poison: claimed ${claim.claims} times without an outcome; POST /emails/{id}/retry queues it again`;
    return { settlement: endWithoutAttempt(letter, 'failed', reason, new Date()), reached: undefined };
  }
  const recipients = letter.recipients.filter(isToBeTried).map(({ address }) => address);
  if (recipients.length === 0) {
    // All were suppressed since the letter was accepted.
    return {
      settlement: settlementOf(letter, { results: [], reached: true }, new Date(), Math.random()),
      reached: undefined,
    };
  }
  let delivery: Delivery;
  try {
    const { from, raw } = await compose(secrets, letter);
    delivery = await transport.send({ from, recipients, raw });
  } catch (error) {
    // Composing or our own code failed: to try again later is all that can be done about it.
    log.error({ err: error, email: letter.id }, 'a delivery failed on our side');
    return {
      settlement: settlementOf(letter, { results: [], reached: true }, new Date(), Math.random()),
      reached: undefined,
    };
  }
  return { settlement: settlementOf(letter, delivery, new Date(), Math.random()), reached: delivery.reached };
}
