/** Codes on paper, for who has lost their devices: ten of fifty random bits, each good once. */
import { randomInt } from 'node:crypto';
import { recordAudit } from '../audit/record.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { lockUser } from '../users/store.ts';
import { factorNotFound } from './errors.ts';
import { requireRecent } from './recent.ts';
import { replaceRecoveryCodes, useRecoveryCode } from './store.ts';

// Crockford's: none of its letters is taken for another.
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const amount = 10;
const length = 10;

/** Makes ten codes in the place of those there were, in the caller's transaction. They are shown now and never again. */
export async function makeRecoveryCodes(
  { secrets }: { secrets: Secrets },
  tx: Transaction,
  userId: string,
): Promise<string[]> {
  const codes = Array.from({ length: amount }, () =>
    Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join(''),
  );
  const hmacs = codes.map((code) => secrets.hmac('recovery-code', `${userId} ${code}`));
  await replaceRecoveryCodes(tx, userId, hmacs);
  return codes.map((code) => `${code.slice(0, 5)}-${code.slice(5)}`);
}

/** Uses a code up, however it was typed; false where it is none. */
export async function tryRecoveryCode(
  { secrets }: { secrets: Secrets },
  tx: Transaction,
  userId: string,
  code: string,
): Promise<boolean> {
  const read = code.toLowerCase().replace(/[\s-]/g, '').replaceAll('o', '0').replace(/[il]/g, '1');
  return read.length === length && useRecoveryCode(tx, userId, secrets.hmacs('recovery-code', `${userId} ${read}`));
}

/**
 * New codes, for who has used theirs or lost the paper.
 * @throws stepUpRequired, factorNotFound where they would stand for nothing
 */
export async function renewRecoveryCodes(world: { db: Database; secrets: Secrets }, caller: Caller): Promise<string[]> {
  return world.db.begin(async (tx) => {
    const user = await lockUser(tx, caller.id);
    if (!user?.hasSecondFactor)
      throw factorNotFound({ detail: 'Recovery codes stand for second factors; add one first.' });
    requireRecent(caller, user);
    const { tenantId, name: actor, id: userId } = caller;
    await recordAudit(tx, { tenantId, type: 'second_factor.recovery_codes_made', actor, userId });
    return makeRecoveryCodes(world, tx, userId);
  });
}
