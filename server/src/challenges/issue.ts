import { randomBytes, randomInt } from 'node:crypto';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Transaction } from '../database/database.ts';
import { type ChallengeTimes, codeText, linkText, type Purpose } from './challenge.ts';
import { type Holder, insertChallenge, takeLetter } from './store.ts';

export interface IssuedChallenge {
  id: string;
  code: string;
  token: string;
  linkExpiresAt: Date;
}

/**
 * Makes a challenge and ends the one before it.
 * @returns code and token, which exist nowhere else, or undefined where the address has had its letters or the user is
 *   gone
 */
export async function issueChallenge(
  { secrets, ...times }: { secrets: Secrets } & ChallengeTimes,
  tx: Transaction,
  about: Holder & { purpose: Purpose },
): Promise<IssuedChallenge | undefined> {
  const id = newId();
  if (!(await takeLetter(tx, id, about))) return undefined;
  const code = String(randomInt(10 ** times.verifyCodeDigits)).padStart(times.verifyCodeDigits, '0');
  const token = randomBytes(32).toString('base64url');
  const linkExpiresAt = await insertChallenge(tx, {
    ...about,
    id,
    codeHmac: secrets.hmac('challenge-code', codeText(about.purpose, id, code)),
    linkHmac: secrets.hmac('challenge-link', linkText(about.purpose, token)),
    codeSeconds: times.verifyCodeSeconds,
    linkSeconds: times.verifyLinkSeconds,
  });
  return linkExpiresAt && { id, code, token, linkExpiresAt };
}
