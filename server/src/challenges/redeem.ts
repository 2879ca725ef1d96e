import { timingSafeEqual } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import { codeText, linkText, maxTries, maxWrongTriesPerHour, type Purpose } from './challenge.ts';
import { codeExpired, codeInvalid, linkExpired, linkInvalid, tooManyTries } from './errors.ts';
import { type Attempt, consumeByCode, consumeByLink, countTry, linkExists, type Proven, whyNoTry } from './store.ts';

/**
 * Completes a challenge by its code. The try is counted and committed before the code is compared.
 *
 * @param complete writes what was proven, in the transaction that uses the challenge up
 * @throws codeInvalid, codeExpired, tooManyTries
 */
export async function redeemCode<T>(
  { db, secrets }: { db: Database; secrets: Secrets },
  attempt: Attempt & { code: string },
  complete: (tx: Transaction, challengeId: string) => Promise<T>,
): Promise<T> {
  const challenge = await countTry(db, attempt);
  if (!challenge) throw await refusal(db, attempt);
  const candidates = secrets.hmacs('challenge-code', codeText(attempt.purpose, challenge.id, attempt.code));
  if (!candidates.some((candidate) => timingSafeEqual(candidate, challenge.codeHmac))) {
    throw codeInvalid({ detail: 'Check the code in the newest letter.' });
  }
  const done = await db.begin(async (tx) => {
    if (!(await consumeByCode(tx, challenge.id))) throw codeExpired({ detail: 'The code has been used already.' });
    return { result: await complete(tx, challenge.id) };
  });
  return done.result as T;
}

async function refusal(db: Database, attempt: Attempt) {
  const why = await whyNoTry(db, attempt);
  if (why.isOver) return codeExpired({ detail: 'It was used or replaced, or its time is over. Ask for a new one.' });
  if (why.tries >= maxTries) {
    const detail = `A code may be tried ${maxTries} times. Ask for a new one.`;
    return tooManyTries({ detail, retryAfterSeconds: why.codeSecondsLeft });
  }
  const detail = `An address may be tried ${maxWrongTriesPerHour} times an hour, whatever the number of codes.`;
  return tooManyTries({ detail, retryAfterSeconds: why.budgetSecondsLeft });
}

/**
 * Completes a challenge by its link token.
 * @throws linkInvalid, linkExpired
 */
export async function redeemLink<T>(
  { db, secrets }: { db: Database; secrets: Secrets },
  { purpose, token }: { purpose: Purpose; token: string },
  complete: (tx: Transaction, proven: Proven) => Promise<T>,
): Promise<T> {
  const hmacs = secrets.hmacs('challenge-link', linkText(purpose, token));
  const done = await db.begin(async (tx) => {
    const proven = await consumeByLink(tx, purpose, hmacs);
    return proven && { result: await complete(tx, proven) };
  });
  if (done) return done.result as T;
  if (await linkExists(db, purpose, hmacs)) {
    throw linkExpired({ detail: 'It was used or replaced, or its time is over. If need be, ask for a new letter.' });
  }
  throw linkInvalid({ detail: 'Open the newest letter and use its link whole.' });
}
