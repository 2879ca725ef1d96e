import { timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Secrets } from '../crypto/secrets.ts';
import { PosternError } from '../errors.ts';
import { basicCredential } from '../http/caller.ts';
import { type Client, hasSecret } from './client.ts';
import { type AssertionWorld, assertionType, checkAssertion, signsAssertions, subjectOf } from './client-assertion.ts';
import { makeFindClientKeys, type ReadDocument } from './client-keys.ts';
import { secretText } from './client-secret.ts';
import { OAuthError } from './errors.ts';
import type { ClientDirectory } from './find-client.ts';
import type { StoredClient } from './store.ts';

export type AuthenticateClient = (request: FastifyRequest) => Promise<Client>;

/**
 * Tells which client is calling, by HTTP Basic, by the body, or by an assertion in it; the body alone with `client_id` for
 * public clients. The client it returns has proven its secret or its key, or has none.
 */
export function makeAuthenticateClient(
  world: Omit<AssertionWorld, 'findClientKeys'> & ProofWorld & { readDocument: ReadDocument },
): AuthenticateClient {
  const assertionWorld = { ...world, findClientKeys: makeFindClientKeys(world) };
  return async (request) => {
    const { clientId, secret, assertion } = readCredential(request);
    // Who has a key gets in by no secret, and who has a secret by no key: whichever is weaker would be the one that counts.
    const client =
      assertion === undefined
        ? await findProven(world, clientId, secret)
        : await findWhere(world, clientId, signsAssertions);
    if (!client) throw noSuchClient();
    if (assertion !== undefined) {
      await checkAssertion(assertionWorld, client, { assertion, path: request.routeOptions.url ?? '' });
    }
    return client;
  };
}

/** The client, if this is its secret, or if it has none and none was sent. */
export function findProven(
  world: ProofWorld,
  clientId: string,
  secret: string | undefined,
): Promise<StoredClient | undefined> {
  return findWhere(
    world,
    clientId,
    (client) => !signsAssertions(client) && provesSecret(world.secrets, client, secret),
  );
}

export interface ProofWorld extends ClientDirectory {
  secrets: Secrets;
}

/** Whoever is refused for what is remembered is held against what is stored: the client, or its secret, may be a moment old. */
async function findWhere(
  { findClient, readClient }: ClientDirectory,
  clientId: string,
  isIt: (client: StoredClient) => boolean,
): Promise<StoredClient | undefined> {
  for (const find of [findClient, readClient]) {
    const client = await find(clientId);
    if (client && isIt(client)) return client;
  }
  return undefined;
}

function noSuchClient(): OAuthError {
  return new OAuthError('invalid_client', 'There is no client with this id that authenticates like this.');
}

/** The secret that a client has proven, for as long as the client is remembered: an HMAC each time took a tenth of a token's. */
const proven = new WeakMap<StoredClient, Buffer>();

/** Whether a client sent what it has to: its secret, or the one before for as long as that is good; none if it is public. */
function provesSecret(secrets: Secrets, client: StoredClient, secret: string | undefined): boolean {
  if (client.isPublic) return secret === undefined;
  if (secret === undefined || !hasSecret(client)) return false;
  const given = Buffer.from(secret);
  const known = proven.get(client);
  if (known?.length === given.length && timingSafeEqual(known, given)) return true;
  const kept = [client.secretHash, client.formerSecretHash].filter((hash) => hash !== null);
  const candidates = secrets.hmacs('client-secret', secretText(client.clientId, secret));
  const isProven = candidates.some((candidate) => kept.some((hash) => timingSafeEqual(candidate, hash)));
  if (isProven) proven.set(client, given);
  return isProven;
}

/** URLs stand in logs (S33). */
export function refuseSecretInUrl({ query }: FastifyRequest): void {
  if (query !== null && typeof query === 'object' && ('client_secret' in query || 'client_assertion' in query)) {
    throw new OAuthError('invalid_request', 'A secret must not stand in the URL.');
  }
}

interface Credential {
  clientId: string;
  secret?: string | undefined;
  assertion?: string;
}

/** One way of authenticating, and no more (RFC 6749 §2.3). */
function readCredential(request: FastifyRequest): Credential {
  refuseSecretInUrl(request);
  const given = parameters(request.body, credentialNames);
  const { client_id: clientId, client_secret: secret } = given;
  if (given.client_assertion !== undefined || given.client_assertion_type !== undefined) {
    return readAssertion(request, given);
  }
  const basic = basicOf(request.headers.authorization);
  if (!basic) {
    if (clientId === undefined) throw new OAuthError('invalid_client', 'Send client_id and client_secret.');
    return { clientId, secret };
  }
  if (secret !== undefined) throw new OAuthError('invalid_request', 'Authenticate by header or by body, not by both.');
  if (clientId !== undefined && clientId !== basic.clientId) {
    throw new OAuthError('invalid_request', 'Header and body name different clients.');
  }
  return basic;
}

const credentialNames = ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type'] as const;

function readAssertion(
  { headers: { authorization } }: FastifyRequest,
  given: { [K in (typeof credentialNames)[number]]?: string },
): Credential {
  const { client_id, client_secret, client_assertion: assertion, client_assertion_type: type } = given;
  if (authorization !== undefined || client_secret !== undefined) {
    throw new OAuthError('invalid_request', 'Authenticate by a secret or by an assertion, not by both.');
  }
  if (assertion === undefined || type === undefined) {
    throw new OAuthError('invalid_request', 'Send client_assertion and client_assertion_type.');
  }
  if (type !== assertionType) throw new OAuthError('invalid_client', `client_assertion_type must be ${assertionType}.`);
  const clientId = subjectOf(assertion);
  if (client_id !== undefined && client_id !== clientId) {
    throw new OAuthError('invalid_client', 'client_id and client_assertion name different clients.');
  }
  return { clientId, assertion };
}

/** RFC 6749 §2.3.1: id and secret are form-encoded before they are joined by a colon. */
function basicOf(authorization: string | undefined): { clientId: string; secret: string } | undefined {
  if (authorization === undefined) return undefined;
  try {
    const credential = basicCredential(authorization);
    if (!credential) throw new OAuthError('invalid_client', 'Authenticate by HTTP Basic, or in the body.');
    return { clientId: formDecode(credential.user), secret: formDecode(credential.password) };
  } catch (error) {
    if (error instanceof PosternError) throw new OAuthError('invalid_client', error.message);
    throw error;
  }
}

function formDecode(text: string): string {
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text; // sent by a client that encodes nothing
  }
}

/**
 * Reads parameters of a form or JSON body. Empty ones count as left out (RFC 6749 §3.2), unknown ones are ignored.
 * @throws OAuthError when one stands twice or is no text
 */
export function parameters<const N extends string>(body: unknown, names: readonly N[]): { [K in N]?: string } {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new OAuthError('invalid_request', 'Send the parameters as a form or a JSON object.');
  }
  const found: { [K in N]?: string } = {};
  for (const name of names) {
    const value: unknown = Object.hasOwn(body, name) ? (body as Record<string, unknown>)[name] : undefined;
    if (value === undefined || value === '') continue;
    if (Array.isArray(value)) throw new OAuthError('invalid_request', `${name} stands more than once.`);
    if (typeof value !== 'string') throw new OAuthError('invalid_request', `${name} must be text.`);
    found[name] = value;
  }
  return found;
}
