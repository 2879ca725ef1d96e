/** Authenticating by a signed JWT (`private_key_jwt`; RFC 7523 §3, OpenID Connect Core §9) in the place of a secret. */
import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { nowSeconds } from '../crypto/access-tokens.ts';
import { publicKeyAlgorithms } from '../crypto/algorithms.ts';
import { onceKey, useOnce } from '../crypto/used-once.ts';
import type { Database } from '../database/database.ts';
import type { Client } from './client.ts';
import type { FindClientKeys } from './client-keys.ts';
import { OAuthError } from './errors.ts';

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export interface AssertionWorld {
  db: Database;
  publicUrl: string;
  findClientKeys: FindClientKeys;
}

const maxAssertionLength = 8_192;
const maxSkewSeconds = 30;
// What lives longer is stolen more easily, and its name has to be remembered for as long.
const maxLifetimeSeconds = 3_600;

/** Whether a client signs assertions; then it has no other way, and else not that one. */
export function signsAssertions({ metadata }: Client): boolean {
  return metadata.token_endpoint_auth_method === 'private_key_jwt';
}

/**
 * Whom an assertion speaks of. Nothing is checked yet.
 * @throws OAuthError
 */
export function subjectOf(assertion: string): string {
  try {
    if (assertion.length > maxAssertionLength) throw new Error('too long');
    const { sub } = decodeJwt(assertion);
    if (typeof sub === 'string') return sub;
  } catch {
    // Told below.
  }
  throw notGood(`it must be a JWT of at most ${maxAssertionLength} characters, with the client_id as its sub`);
}

/**
 * Checks an assertion and uses it up.
 * @param path of the endpoint it was sent to
 * @throws OAuthError
 */
export async function checkAssertion(
  { db, publicUrl, findClientKeys }: AssertionWorld,
  client: Client,
  { assertion, path }: { assertion: string; path: string },
): Promise<void> {
  const { exp = 0, jti } = await verify(findClientKeys, client, assertion, {
    issuer: client.clientId,
    subject: client.clientId,
    // The token endpoint stands for the server wherever the assertion is sent (RFC 7523 §3, 3).
    audience: [publicUrl, `${publicUrl}/oauth/token`, publicUrl + path],
    clockTolerance: maxSkewSeconds,
    requiredClaims: ['exp', 'jti'],
  });
  const secondsLeft = exp - nowSeconds();
  if (secondsLeft > maxLifetimeSeconds + maxSkewSeconds) throw notGood('its exp must not be more than an hour ahead');
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > 256) {
    throw notGood('its jti must be a text of 1 to 256 characters');
  }
  // It is good for the skew beyond its end, and nodes' clocks differ by as much.
  const key = onceKey('client-assertion', client.id, jti);
  if (!(await useOnce(db, key, secondsLeft + 2 * maxSkewSeconds))) throw notGood('it was used already');
}

async function verify(
  findClientKeys: FindClientKeys,
  client: Client,
  assertion: string,
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload> {
  const { token_endpoint_auth_signing_alg: only } = client.metadata;
  const algorithms = publicKeyAlgorithms.filter((one) => only === undefined || one === only);
  try {
    const { payload } = await jwtVerify(
      assertion,
      async (header, token) => {
        const keys = await findClientKeys(client, header.kid);
        if (!keys) throw notGood('the keys of the client cannot be read');
        // With several keys that could be meant, the header has to name one (OpenID Connect Core §10.1).
        return createLocalJWKSet(keys)(header, token);
      },
      { ...options, algorithms },
    );
    return payload;
  } catch (error) {
    if (error instanceof OAuthError) throw error;
    // What the library says of it helps whoever signs; what else a key from outside can make it throw would not.
    throw notGood(error instanceof errors.JOSEError ? error.message : 'its signature cannot be checked');
  }
}

function notGood(reason: string): OAuthError {
  return new OAuthError('invalid_client', `The client_assertion is not good: ${reason}.`);
}
