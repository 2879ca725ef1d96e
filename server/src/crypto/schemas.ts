/** Passwords and tokens as several features' routes take and give them. */
import { Type } from 'typebox';

/**
 * Eight characters at least (NIST SP 800-63B, OWASP ASVS), and no rule about their kinds; 1024 at most, so that nobody
 * sends a novel to be hashed. Every byte counts, NUL and spaces too, and nothing is trimmed or normalised.
 */
export const NewPassword = Type.String({ minLength: 8, maxLength: 1024, description: 'At least 8 characters' });

/** A password as it is checked: rules that came later must not lock out who has one from before. */
export const GivenPassword = Type.String({ maxLength: 1024 });

/** What a user gets at login. */
export const Token = Type.Object({
  access_token: Type.String(),
  refresh_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: Type.Integer({ description: 'Seconds the access token is good for' }),
});

export type Token = Type.Static<typeof Token>;
