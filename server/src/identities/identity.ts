/**
 * Identities: users who sign in with an account they have elsewhere, at Google or any provider of OpenID Connect. This
 * folder owns the tables `identities`, `finished_sign_ins` and `sign_in_codes`, and the way there and back: the provider
 * is asked (begin-sign-in.ts), what it says is checked and becomes a user (complete-sign-in.ts, find-or-make-user.ts), and
 * the user gets tokens, at once or by a code that the application trades (exchange.ts). The protocol itself is the library
 * `openid-client`'s.
 */

/** What a provider vouches for. */
export interface OutsideAccount {
  /** The provider, as people know it. */
  provider: string;
  issuer: string;
  subject: string;
  email?: string;
  isEmailVerified: boolean;
  name?: string;
  picture?: string;
}

export interface Identity {
  id: string;
  issuer: string;
  subject: string;
  email: string | null;
  createdAt: Date;
  lastUsedAt: Date;
}
