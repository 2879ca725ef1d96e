import { createHash } from 'node:crypto';
import type { FastifyBaseLogger } from 'fastify';
import type { IDToken } from 'openid-client';
import type { Database } from '../database/database.ts';
import type { PosternError } from '../errors.ts';
import { callbackUrl, type PendingSignIn, signInSeconds } from './begin-sign-in.ts';
import { answerInvalid, providerAway, signInInvalid, signInRefused } from './errors.ts';
import type { OutsideAccount } from './identity.ts';
import type { Provider, Providers } from './providers.ts';
import { finishSignIn } from './store.ts';

export interface CompleteWorld {
  db: Database;
  log: Pick<FastifyBaseLogger, 'warn'>;
  publicUrl: string;
  providers: Providers;
}

/**
 * Trades what the provider sent the browser back with for what it says of the user, and checks all of it: state, issuer,
 * audience, nonce, times, algorithm and signature (S35). A sign-in comes back once (S38).
 * @param query of the callback, as it came
 * @throws signInInvalid, signInRefused, answerInvalid, providerAway, unknownProvider
 */
export async function completeSignIn(
  world: CompleteWorld,
  pending: PendingSignIn,
  query: string,
): Promise<OutsideAccount> {
  const { state, nonce, codeVerifier } = pending;
  const stateHash = createHash('sha256').update(state).digest();
  if (!(await finishSignIn(world.db, stateHash, signInSeconds))) {
    throw signInInvalid({ detail: 'It has come back before. Begin again where you came from.' });
  }
  const provider = world.providers.named(pending.provider);
  const configuration = await provider.configuration();
  const { authorizationCodeGrant } = await import('openid-client');
  try {
    const tokens = await authorizationCodeGrant(configuration, new URL(`${callbackUrl(world.publicUrl)}?${query}`), {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: codeVerifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (!claims) throw new Error('There is no ID token.');
    return accountOf(provider, claims);
  } catch (error) {
    world.log.warn({ err: error, provider: provider.id }, 'a sign-in with a provider came to nothing');
    throw await meaningOf(error);
  }
}

function accountOf({ name: provider, trustsEmail }: Provider, claims: IDToken): OutsideAccount {
  const text = (name: string) => {
    const value = claims[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const [email, name, picture] = [text('email'), text('name'), text('picture')];
  return {
    provider,
    issuer: claims.iss,
    subject: claims.sub,
    // Nothing but `true` will do (S36): some say "false" in quotes.
    isEmailVerified: email !== undefined && (claims.email_verified === true || trustsEmail),
    ...(email === undefined ? {} : { email }),
    ...(name === undefined ? {} : { name }),
    ...(picture === undefined ? {} : { picture }),
  };
}

async function meaningOf(error: unknown): Promise<PosternError> {
  const { AuthorizationResponseError, ResponseBodyError } = await import('openid-client');
  if (error instanceof AuthorizationResponseError) {
    return signInRefused({ detail: `The provider says: ${error.error_description ?? error.error}.`, cause: error });
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const isAway = code === 'OAUTH_TIMEOUT' || (error instanceof TypeError && error.message === 'fetch failed');
  if (isAway || statusOf(error) >= 500) {
    return providerAway({ detail: 'Begin again in a moment.', retryAfterSeconds: 5, cause: error });
  }
  if (error instanceof ResponseBodyError) {
    return signInInvalid({ detail: `The provider says: ${error.error_description ?? error.error}.`, cause: error });
  }
  return answerInvalid({
    detail: 'Begin again; if that does not help, tell those who run this service.',
    cause: error,
  });
}

/** Of the answer that the library found fault with; 0 where there was none. */
function statusOf(error: unknown): number {
  if (!(error instanceof Error)) return 0;
  return error.cause instanceof Response ? error.cause.status : 'status' in error ? Number(error.status) : 0;
}
