import type { AccessTokenClaims, TokenVerifier } from '../crypto/access-tokens.ts';
import { type Authenticate, type Caller, unauthorized } from '../http/caller.ts';
import type { TenantDirectory } from '../tenants/tenants.ts';
import type { Revocations } from './revocations.ts';
import { revocationSubjects } from './session.ts';

interface World {
  verifier: TokenVerifier;
  revocations: Revocations;
  findTenant: TenantDirectory['findTenant'];
}

/** Reads `Authorization: Bearer` with an access token: no database read while tokens and revocations are remembered. */
export function makeAuthenticate({ verifier, revocations, findTenant }: World): Authenticate {
  return async (authorization) => {
    if (authorization === undefined) throw refused('Send Authorization: Bearer with an access token.');
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) throw refused('This call takes Authorization: Bearer with an access token.');
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
  return { kind: 'user', id: claims.sub, name: `user:${claims.sub}`, tenantId, scopes, sessionId: claims.sid };
}

function refused(detail: string, challenge = 'Bearer') {
  return unauthorized({ detail, headers: { 'WWW-Authenticate': challenge } });
}
