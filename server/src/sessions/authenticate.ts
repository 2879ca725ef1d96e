import type { TokenVerifier } from '../crypto/access-tokens.ts';
import type { AccessTokenClaims } from '../crypto/claims.ts';
import { type Authenticate, type Caller, unauthorized } from '../http/caller.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import type { Revocations } from './revocations.ts';
import { revocationSubjects } from './session.ts';

interface World {
  verifier: TokenVerifier;
  revocations: Revocations;
  findTenant: TenantDirectory['findTenant'];
  /** The caller of an API key that is good; undefined for any other. */
  authenticateKey: (key: string) => Promise<Caller | undefined>;
}

/**
 * Reads `Authorization: Bearer` with an access token or an API key: no database read while tokens, revocations and keys
 * are remembered.
 */
export function makeAuthenticate({ verifier, revocations, findTenant, authenticateKey }: World): Authenticate {
  return async (authorization) => {
    if (authorization === undefined) throw refused('Send Authorization: Bearer with an access token or an API key.');
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) throw refused('This call takes Authorization: Bearer with an access token or an API key.');
    if (token.startsWith('pk_')) {
      const caller = await authenticateKey(token);
      if (!caller) throw refused('The API key is not valid or has ended.', 'Bearer error="invalid_token"');
      return caller;
    }
    const claims = await verifier.verify(token);
    if (!claims || (await revocations.isRevoked(revocationSubjects(claims)))) {
      throw refused('The access token is not valid or has ended.', 'Bearer error="invalid_token"');
    }
    const tenant = await findTenant(claims.tenant);
    if (!tenant) throw refused('The access token names no tenant of ours.', 'Bearer error="invalid_token"');
    return toCaller(claims, tenant.id);
  };
}

/** A user's token belongs to a session; one that a client got in its own name has none. */
function toCaller(claims: AccessTokenClaims, tenantId: string): Caller {
  const scopes = new Set(claims.scope.split(' '));
  if (claims.sid === undefined) {
    return { kind: 'client', id: claims.sub, name: `client:${claims.client_id}`, tenantId, scopes };
  }
  return {
    kind: 'user',
    id: claims.sub,
    name: `user:${claims.sub}`,
    tenantId,
    scopes,
    sessionId: claims.sid,
    ...(claims.auth_time !== undefined && { authenticatedAt: claims.auth_time }),
    ...(claims.acr !== undefined && { level: claims.acr }),
  };
}

function refused(detail: string, challenge = 'Bearer') {
  return unauthorized({ detail, headers: { 'WWW-Authenticate': challenge } });
}
