/**
 * Second factors: what somebody shows beside a password, a letter or an outside account. This folder owns the tables
 * `second_factors`, `recovery_codes` and `passkey_ceremonies`: adding and removing them, and telling whether a code or a
 * passkey is good. That no session opens before one was shown is the business of `sessions/`.
 *
 * Whoever has one is asked for it wherever they log in, however they have begun.
 */

/** How somebody has authenticated, as `amr` of their tokens says it (RFC 8176; `email` and `fed` are our own). */
export type Method =
  | 'pwd' // a password
  | 'email' // the code or link of a letter
  | 'fed' // an account at another provider
  | 'otp' // a code of TOTP, or a recovery code
  | 'pop' // a passkey
  | 'user' // … which has made sure who holds it
  | 'mfa'; // more than one factor

/** What `acr` of a token says: the levels of NIST SP 800-63B, one factor or two. */
export function levelOf(methods: readonly string[]): 'aal1' | 'aal2' {
  return methods.includes('mfa') ? 'aal2' : 'aal1';
}

export type FactorKind = 'totp' | 'passkey';

export interface SecondFactor {
  id: string;
  kind: FactorKind;
  /** As their owner calls it. */
  name: string;
  createdAt: Date;
  lastUsedAt: Date | null;
}

/** A user can have this many; whoever needs more has lost count. */
export const maxFactors = 10;
