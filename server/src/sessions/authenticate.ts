import type { TokenVerifier } from '../crypto/access-tokens.ts';
import { publicKeyAlgorithms } from '../crypto/algorithms.ts';
import { type AccessTokenClaims, firstPartyClientId, identityScopes } from '../crypto/claims.ts';
import { InvalidProof, type ProveKey } from '../crypto/dpop.ts';
import {
  type Authenticate,
  type Caller,
  type CredentialedRequest,
  invalidDpopProof,
  unauthorized,
} from '../http/caller.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import type { Revocations } from './revocations.ts';
import { revocationSubjects } from './session.ts';

interface World {
  verifier: TokenVerifier;
  revocations: Revocations;
  findTenant: TenantDirectory['findTenant'];
  proveKey: ProveKey;
  /** The caller of an API key that is good; undefined for any other. */
  authenticateKey: (key: string) => Promise<Caller | undefined>;
}

const dpopChallenge = (error: string) => `DPoP error="${error}", algs="${publicKeyAlgorithms.join(' ')}"`;

/**
 * Reads `Authorization: Bearer` with an access token or an API key, or `Authorization: DPoP` with an access token that is
 * bound to a key: no database read while tokens, revocations and keys are remembered, but for the proof of such a key.
 */
export function makeAuthenticate(world: World): Authenticate {
  const { verifier, revocations, findTenant, authenticateKey } = world;
  return async (request) => {
    const { authorization } = request.headers;
    if (authorization === undefined) throw refused('Send Authorization: Bearer with an access token or an API key.');
    const [, scheme, token] = /^(bearer|dpop) +(\S+) *$/i.exec(authorization) ?? [];
    if (scheme === undefined || token === undefined) {
      throw refused('This call takes Authorization: Bearer with an access token or an API key.');
    }
    const isDpop = scheme.length === 'dpop'.length;
    const invalid = isDpop ? dpopChallenge('invalid_token') : 'Bearer error="invalid_token"';
    if (token.startsWith('pk_')) {
      const caller = isDpop ? undefined : await authenticateKey(token);
      if (!caller) throw refused('The API key is not valid or has ended.', invalid);
      return caller;
    }
    const claims = await verifier.verify(token);
    if (!claims || (await revocations.isRevoked(revocationSubjects(claims)))) {
      throw refused('The access token is not valid or has ended.', invalid);
    }
    if (isDpop || claims.cnf !== undefined) await requireKey(world, request, { isDpop, token, claims });
    const tenant = await findTenant(claims.tenant);
    if (!tenant) throw refused('The access token names no tenant of ours.', invalid);
    return toCaller(claims, tenant.id);
  };
}

/**
 * A token that is bound to a key is taken with a proof of that key alone (RFC 9449 §7.1), and none as if it were bound: who
 * sends a proof would else believe that the token is worth nothing without.
 * @throws unauthorized, invalidDpopProof
 */
async function requireKey(
  { proveKey }: World,
  request: CredentialedRequest,
  { isDpop, token, claims: { cnf } }: { isDpop: boolean; token: string; claims: AccessTokenClaims },
): Promise<void> {
  const invalid = dpopChallenge('invalid_token');
  if (!isDpop) throw refused('The access token is bound to a key: send Authorization: DPoP, and a proof.', invalid);
  if (!cnf) throw refused('The access token is bound to no key: send Authorization: Bearer.', invalid);
  const thumbprint = await proveKey(request, token).catch((error: unknown) => {
    if (!(error instanceof InvalidProof)) throw error;
    const headers = { 'WWW-Authenticate': dpopChallenge('invalid_dpop_proof') };
    throw invalidDpopProof({ detail: error.message, headers, cause: error });
  });
  if (thumbprint !== cnf.jkt) throw refused('The access token is bound to another key than the proof.', invalid);
}

/**
 * Tokens of Postern itself belong to a user's session. One that another program got in a user's name says what the user has
 * granted (`grant_id`) or ends with a session of theirs; one that a client got in its own name has neither.
 */
function toCaller(claims: AccessTokenClaims, tenantId: string): Caller {
  const { sub: id, client_id: client, sid, grant_id, auth_time, acr } = claims;
  const scopes = new Set(claims.scope.split(' '));
  if (sid === undefined && grant_id === undefined) {
    return { kind: 'client', id, name: `client:${client}`, tenantId, scopes };
  }
  const user = { kind: 'user', id, name: `user:${id}`, tenantId, scopes } as const;
  if (client !== firstPartyClientId || grant_id !== undefined) {
    // What the program may know. There `email` is the claim of OpenID Connect, never the right to send mail.
    for (const scope of identityScopes) scopes.delete(scope);
    scopes.delete('email');
    return { ...user, client };
  }
  return {
    ...user,
    ...(sid !== undefined && { sessionId: sid }),
    ...(auth_time !== undefined && { authenticatedAt: auth_time }),
    ...(acr !== undefined && { level: acr }),
  };
}

function refused(detail: string, challenge = 'Bearer') {
  return unauthorized({ detail, headers: { 'WWW-Authenticate': challenge } });
}
