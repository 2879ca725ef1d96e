import { timingSafeEqual } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Limits } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';
import {
  codeText,
  linkText,
  maxTries,
  maxWrongTriesPerHour,
  type Purpose,
  wrongCodesBySource,
  wrongCodesInAll,
} from './challenge.ts';
import { codeExpired, codeInvalid, linkExpired, linkInvalid, tooManyTries } from './errors.ts';
import {
  type Attempt,
  consumeByCode,
  consumeByLink,
  consumeOfNobody,
  countTry,
  linkState,
  type Proven,
  type ProvenAddress,
  whyNoTry,
} from './store.ts';

export interface Link {
  purpose: Purpose;
  token: string;
}

export interface RedeemWorld {
  db: Database;
  secrets: Secrets;
  limits: Limits;
}

/**
 * Completes a challenge by its code. The try is counted and committed before the code is compared.
 *
 * @param complete writes what was proven, in the transaction that uses the challenge up
 * @throws codeInvalid, codeExpired, tooManyTries, the error of a limit
 */
export async function redeemCode<T>(
  { db, secrets, limits }: RedeemWorld,
  attempt: Attempt & { code: string; ip: string },
  complete: (tx: Transaction, proven: Proven) => Promise<T>,
): Promise<T> {
  const uses = [
    { limit: wrongCodesBySource, key: sourceOf(attempt.ip) },
    { limit: wrongCodesInAll, key: '' },
  ];
  limits.check(uses);
  const challenge = await countTry(db, attempt);
  if (!challenge) throw await refusal(db, attempt);
  // Only now: what a challenge refuses by itself is no guess.
  const giveBack = await limits.take(uses);
  const candidates = secrets.hmacs('challenge-code', codeText(attempt.purpose, challenge.id, attempt.code));
  if (!candidates.some((candidate) => timingSafeEqual(candidate, challenge.codeHmac))) {
    throw codeInvalid({ detail: 'Check the code in the newest letter.' });
  }
  giveBack();
  const done = await db.begin(async (tx) => {
    const proven = await consumeByCode(tx, challenge.id);
    if (!proven) throw codeExpired({ detail: 'The code has been used already.' });
    return { result: await complete(tx, proven) };
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
  link: Link,
  complete: (tx: Transaction, proven: Proven) => Promise<T>,
): Promise<T> {
  return redeemBy({ db, secrets }, link, consumeByLink, complete);
}

/**
 * The same for an address that is nobody's yet.
 * @throws linkInvalid, linkExpired
 */
export async function redeemLinkOfNobody<T>(
  { db, secrets }: { db: Database; secrets: Secrets },
  link: Link,
  complete: (tx: Transaction, proven: ProvenAddress) => Promise<T>,
): Promise<T> {
  return redeemBy({ db, secrets }, link, consumeOfNobody, complete);
}

async function redeemBy<P, T>(
  { db, secrets }: { db: Database; secrets: Secrets },
  { purpose, token }: Link,
  consume: (tx: Transaction, purpose: Purpose, linkHmacs: Buffer[]) => Promise<P | undefined>,
  complete: (tx: Transaction, proven: P) => Promise<T>,
): Promise<T> {
  const hmacs = secrets.hmacs('challenge-link', linkText(purpose, token));
  const done = await db.begin(async (tx) => {
    const proven = await consume(tx, purpose, hmacs);
    return proven && { result: await complete(tx, proven) };
  });
  if (done) return done.result as T;
  throw (await linkState(db, purpose, hmacs)) === 'unknown' ? unknownLink() : usedLink();
}

/**
 * Looks whether a link can be used, before work that it should not have been asked for.
 * @throws linkInvalid, linkExpired
 */
export async function checkLink(
  { db, secrets }: { db: Database; secrets: Secrets },
  { purpose, token }: Link,
): Promise<void> {
  const state = await linkState(db, purpose, secrets.hmacs('challenge-link', linkText(purpose, token)));
  if (state === 'unknown') throw unknownLink();
  if (state === 'over') throw usedLink();
}

function usedLink() {
  return linkExpired({ detail: 'It was used or replaced, or its time is over. If need be, ask for a new letter.' });
}

function unknownLink() {
  return linkInvalid({ detail: 'Open the newest letter and use its link whole.' });
}
