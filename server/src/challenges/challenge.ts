/**
 * Challenges: one proof in progress, e.g. "this address is yours". A challenge carries a short code for people who type
 * and a long link token for people who click; either completes it, once. This folder owns the tables `challenges` and
 * `challenge_letters`, the budgets of letters and of tries, and the letter itself. What is proven, and what follows from
 * it, is the business of whoever issued the challenge: completing runs in the transaction of that fact.
 */

import type { Limit } from '../limits/limits.ts';

/** What is being proven. Bound into the HMACs: a code of one purpose is nothing to another (S14). */
export type Purpose =
  | 'verify_email'
  | 'reset_password'
  | 'log_in'
  /** That the owner of the present address, or of the one it is to become, agrees to the change. */
  | 'change_email_old'
  | 'change_email_new'
  /** Of nobody's: the account is made by accepting. */
  | 'accept_invitation';

/** Code tries per challenge. */
export const maxTries = 3;
/** Wrong tries per address and hour, whatever the number of codes: what a resend does not give back (S13). */
export const maxWrongTriesPerHour = 10;
/** Letters with a code per address. */
export const maxLettersPerHour = 5;
export const maxLettersPerDay = 10;

/** Over many accounts, since each has its own budget (S7). */
export const wrongCodesBySource: Limit = {
  code: 'limits.source',
  what: 'wrong codes from one address',
  burst: 100,
  refillSeconds: 20,
  isBySource: true,
};
export const wrongCodesInAll: Limit = {
  code: 'limits.system',
  what: 'wrong codes in all',
  burst: 5_000,
  refillSeconds: 0.5,
};
/** To whatever addresses: nobody shall have strangers written to by the thousand. */
export const lettersBySource: Limit = {
  code: 'limits.source',
  what: 'letters asked for from one address',
  burst: 1_000,
  refillSeconds: 3,
  isBySource: true,
};

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
