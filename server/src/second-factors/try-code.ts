/** A try at a code: of an authenticator app, or from the list of recovery codes. */
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Limit, Limits } from '../limits/limits.ts';
import { lockUser } from '../users/store.ts';
import type { User } from '../users/user.ts';
import { secondFactorInvalid } from './errors.ts';
import { tryRecoveryCode } from './recovery-codes.ts';
import { totpFactors, useStep } from './store.ts';
import { stepOf } from './totp.ts';

export interface CodeWorld {
  db: Database;
  secrets: Secrets;
  limits: Limits;
}

/**
 * Whoever gets here knows the first factor. Three codes of a million are good at a time: at one try in five minutes a
 * guesser needs a year for a chance of three in ten, and the owner may mistype five times in a row.
 */
const byAccount: Limit = {
  code: 'limits.account',
  what: 'wrong second factors for one account',
  burst: 5,
  refillSeconds: 300,
};

/**
 * Tries a code, and does what it was shown for in the transaction that uses it up.
 * @throws secondFactorInvalid, the error of a limit
 */
export async function tryCode<T>(
  world: CodeWorld,
  { userId, code }: { userId: string; code: string },
  complete: (tx: Transaction, user: User) => Promise<T>,
): Promise<T> {
  const giveBack = await world.limits.take([{ limit: byAccount, key: userId }]);
  const done = await world.db.begin(async (tx) => {
    const user = await lockUser(tx, userId);
    if (!user || !(await useCode(world, tx, userId, code.trim()))) return undefined;
    return { result: await complete(tx, user) };
  });
  if (!done)
    throw secondFactorInvalid({ detail: 'Type the code that your app shows now, or one of the recovery codes.' });
  giveBack();
  return done.result as T;
}

async function useCode(world: CodeWorld, tx: Transaction, userId: string, code: string): Promise<boolean> {
  const digits = code.replaceAll(' ', '');
  if (!/^\d{6}$/.test(digits)) return tryRecoveryCode(world, tx, userId, code);
  for (const { id, secret, now } of await totpFactors(tx, userId)) {
    const step = stepOf(digits, world.secrets.open('totp-secret', secret), now);
    if (step !== undefined) return useStep(tx, id, step);
  }
  return false;
}
