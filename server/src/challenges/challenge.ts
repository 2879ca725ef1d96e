/**
 * Challenges: one proof in progress, e.g. "this address is yours". A challenge carries a short code for people who type
 * and a long link token for people who click; either completes it, once. This folder owns the tables `challenges` and
 * `challenge_letters`, the budgets of letters and of tries, and the letter itself. What is proven, and what follows from
 * it, is the business of whoever issued the challenge: completing runs in the transaction of that fact.
 */

/** What is being proven. Bound into the HMACs: a code of one purpose is nothing to another (S14). */
export type Purpose =
  | 'verify_email'
  /** That the owner of the present address, or of the one it is to become, agrees to the change. */
  | 'change_email_old'
  | 'change_email_new';

/** Code tries per challenge. */
export const maxTries = 3;
/** Wrong tries per address and hour, whatever the number of codes: what a resend does not give back (S13). */
export const maxWrongTriesPerHour = 10;
/** Letters with a code per address. */
export const maxLettersPerHour = 5;
export const maxLettersPerDay = 10;

export interface ChallengeTimes {
  verifyCodeDigits: number;
  verifyCodeSeconds: number;
  verifyLinkSeconds: number;
}

/** What the code's HMAC is made over. */
export function codeText(purpose: Purpose, challengeId: string, code: string): string {
  return `${purpose}:${challengeId}:${code}`;
}

/** What the link token's HMAC is made over. The token itself finds the challenge, so it names none. */
export function linkText(purpose: Purpose, token: string): string {
  return `${purpose}:${token}`;
}
