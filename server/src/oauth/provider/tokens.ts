/** Access tokens as `oidc-provider` looks them up for userinfo: ours are JWTs, known by their signature. */
import type Provider from 'oidc-provider';
import type { TokenVerifier } from '../../crypto/access-tokens.ts';
import { onceKey, useOnce } from '../../crypto/used-once.ts';
import type { Database } from '../../database/database.ts';
import type { Revocations } from '../../sessions/revocations.ts';
import { revocationSubjects } from '../../sessions/session.ts';

export interface TokenBridgeWorld {
  verifier: TokenVerifier;
  revocations: Revocations;
  db: Database;
}

export function bridgeTokens(
  { AccessToken, ReplayDetection }: Provider,
  { verifier, revocations, db }: TokenBridgeWorld,
): void {
  Object.defineProperty(AccessToken, 'find', {
    value: async (token: string) => {
      const claims = await verifier.verify(token);
      if (claims?.grant_id === undefined || (await revocations.isRevoked(revocationSubjects(claims)))) return undefined;
      // It names no audience: a token for our own API is one for userinfo as well.
      return (AccessToken as unknown as { instantiate: (payload: object) => object }).instantiate({
        kind: 'AccessToken',
        jti: claims.jti,
        accountId: claims.sub,
        clientId: claims.client_id,
        grantId: claims.grant_id,
        scope: claims.scope,
        iat: claims.iat,
        exp: claims.exp,
        ...(claims.cnf && { jkt: claims.cnf.jkt }),
        ...(claims.claims && { claims: claims.claims }),
      });
    },
  });
  // Two at the same moment find nothing yet, each of them: the library's own way lets both pass.
  Object.defineProperty(ReplayDetection, 'unique', {
    value: (issuer: string, id: string, end: number) =>
      useOnce(db, onceKey('oidc-provider', issuer, id), Math.max(1, Math.ceil(end - Date.now() / 1_000))),
  });
}
