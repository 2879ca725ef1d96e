import { randomBytes } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';
import { redirectNotAllowed, signInInvalid } from './errors.ts';
import type { Providers } from './providers.ts';

/** Our own page to come back to: the browser itself is signed in there, by its cookie. */
export const accountPage = '/account';

/** How long somebody may take at the provider. */
export const signInSeconds = 600;

/**
 * What a sign-in under way is known by. It goes with the browser that began it, sealed: the answer of the provider is worth
 * something in that browser alone (S38), and one that is given up leaves nothing behind here.
 */
export interface PendingSignIn {
  state: string;
  nonce: string;
  codeVerifier: string;
  provider: string;
  tenantId: string;
  redirectTo?: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

export interface BeginWorld {
  secrets: Secrets;
  publicUrl: string;
  providers: Providers;
  redirectUrls: string[];
}

/**
 * Where to send the browser, and what it has to bring back.
 * @throws unknownProvider, providerAway, redirectNotAllowed
 */
export async function beginSignIn(
  { publicUrl, providers, redirectUrls }: BeginWorld,
  { provider: id, tenantId, redirectTo }: { provider: string; tenantId: string; redirectTo: string | undefined },
): Promise<{ url: string; pending: PendingSignIn }> {
  const provider = providers.named(id);
  if (redirectTo !== undefined && redirectTo !== accountPage && !isAllowed(redirectUrls, redirectTo)) {
    throw redirectNotAllowed({ detail: 'Name it in REDIRECT_URLS, exactly or by its origin.' });
  }
  const configuration = await provider.configuration();
  const { buildAuthorizationUrl, calculatePKCECodeChallenge, randomNonce, randomPKCECodeVerifier } = await import(
    'openid-client'
  );
  const codeVerifier = randomPKCECodeVerifier();
  const pending: PendingSignIn = {
    state: randomBytes(32).toString('base64url'),
    nonce: randomNonce(),
    codeVerifier,
    provider: id,
    tenantId,
    ...(redirectTo === undefined ? {} : { redirectTo }),
    expiresAt: Date.now() + signInSeconds * 1_000,
  };
  const url = buildAuthorizationUrl(configuration, {
    redirect_uri: callbackUrl(publicUrl),
    scope: provider.scope,
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
  });
  return { url: url.href, pending };
}

export function callbackUrl(publicUrl: string): string {
  return `${publicUrl}/auth/callback`;
}

export function sealPending(secrets: Secrets, pending: PendingSignIn): string {
  return secrets.seal('sign-in', JSON.stringify(pending)).toString('base64url');
}

/** @throws signInInvalid */
export function openPending(secrets: Secrets, sealed: string | undefined, state: string | undefined): PendingSignIn {
  const invalid = () =>
    signInInvalid({ detail: 'It was begun in another browser, or too long ago. Begin again where you came from.' });
  if (sealed === undefined || state === undefined) throw invalid();
  let pending: PendingSignIn;
  try {
    pending = JSON.parse(secrets.open('sign-in', Buffer.from(sealed, 'base64url')).toString('utf8'));
  } catch {
    throw invalid();
  }
  if (pending.state !== state || pending.expiresAt < Date.now()) throw invalid();
  return pending;
}

/** A URL as it stands in the list, or one of an origin that stands there. */
function isAllowed(allowed: string[], redirectTo: string): boolean {
  if (!URL.canParse(redirectTo)) return false;
  const { origin, username, password } = new URL(redirectTo);
  if (username !== '' || password !== '') return false;
  return allowed.some((one) => one === redirectTo || (isOrigin(one) && new URL(one).origin === origin));
}

function isOrigin(url: string): boolean {
  return /^https?:\/\/[^/?#]+\/?$/i.test(url);
}
