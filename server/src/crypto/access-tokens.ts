/** Access tokens: JWTs in the profile of RFC 9068, signed with ES256, verified without asking the database. */
import { randomUUID } from 'node:crypto';
import { compactVerify, errors } from 'jose';
import type { AccessTokenClaims } from './claims.ts';
import { makeSign } from './signatures.ts';
import { isKid, type KeySet, type SigningKeys } from './signing-keys.ts';
import type { Signer } from './signing-thread.ts';

export interface TokenSigner {
  /** Returns the JWT. Where not given, `iat` is now and `jti` random. */
  sign: (claims: NewToken) => Promise<string>;
}

export interface NewToken {
  sub: string;
  clientId: string;
  scope: string;
  sid?: string;
  /** Where another program gets it in a user's name. */
  grantId?: string | undefined;
  /** Where it is bound to a key (RFC 7638). */
  thumbprint?: string | undefined;
  /** Postern's own API where not given. */
  audience?: string | undefined;
  tenant: string;
  /** Of a user: how, at which level, and when (seconds since 1970). */
  authentication?: { methods: string[]; level: string; at: number };
  roles?: string[];
  rev?: string[];
  lifetimeSeconds: number;
  iat?: number;
  jti?: string;
}

export interface TokenVerifier {
  /**
   * The claims of a token of ours for our own API that is valid now, or undefined. Whether it was revoked, and whether who
   * sends it has the key it is bound to, is not asked here.
   */
  verify: (token: string) => Promise<AccessTokenClaims | undefined>;
  /** As `verify`, for whichever audience: for telling others about their tokens, never for letting somebody in. */
  verifyForAnybody: (token: string) => Promise<AccessTokenClaims | undefined>;
}

/** A token whose signature is good. */
interface Verified {
  claims: AccessTokenClaims;
  kid: string;
}

export function makeTokenSigner({ keys, publicUrl }: { keys: SigningKeys; publicUrl: string }): TokenSigner {
  const sign = makeSign();
  let signer: (Signer & { kid: string }) | undefined;
  return {
    sign: async (token) => {
      const { sub, clientId, scope, sid, tenant, authentication, roles = [], rev = [] } = token;
      const { lifetimeSeconds, iat = nowSeconds(), jti = randomUUID(), audience = publicUrl } = token;
      const claims: AccessTokenClaims = {
        iss: publicUrl,
        sub,
        aud: audience,
        exp: iat + lifetimeSeconds,
        iat,
        jti,
        client_id: clientId,
        scope,
        tenant,
      };
      if (sid !== undefined) claims.sid = sid;
      if (authentication !== undefined) {
        claims.auth_time = authentication.at;
        claims.acr = authentication.level;
        claims.amr = authentication.methods;
      }
      if (roles.length > 0) claims.roles = roles;
      if (rev.length > 0) claims.rev = rev;
      if (token.grantId !== undefined) claims.grant_id = token.grantId;
      if (token.thumbprint !== undefined) claims.cnf = { jkt: token.thumbprint };
      const { kid, privateKey } = (await keys.fresh()).current;
      if (signer?.kid !== kid) {
        const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })).toString('base64url');
        signer = { kid, key: privateKey, header };
      }
      return sign(JSON.stringify(claims), signer);
    },
  };
}

// A token of ours has about 600 characters, and 9,000 with all the roles a user can have; longer ones are not worth a
// signature check. Node takes 16 KiB of headers.
const maxTokenLength = 10_240;
const maxRemembered = 10_000;
// How far another node's clock may be ahead of ours (S27). A token's end is kept to the second.
const maxSkewSeconds = 30;

/** Verifies with a bounded memory of tokens already verified: a signature check costs 60 µs, the memory 1. */
export function makeTokenVerifier({ keys, publicUrl }: { keys: SigningKeys; publicUrl: string }): TokenVerifier {
  // Keyed by the whole token: two tokens that differ in the signature alone are two tokens.
  const verified = new Map<string, Verified>();

  const read = async (token: string): Promise<AccessTokenClaims | undefined> => {
    const keySet = await keys.fresh();
    const known = verified.get(token);
    if (known) {
      verified.delete(token);
      // The key may have been removed since (S28).
      if (known.claims.exp <= nowSeconds() || !keySet.publicKeys.has(known.kid)) return undefined;
      verified.set(token, known); // last in the Map's order: the first is the one unused for longest
      return known.claims;
    }
    if (token.length > maxTokenLength) return undefined;
    const signed = await verifySignature(token, keys, keySet);
    if (!signed || !isValidNow(signed.claims, publicUrl)) return undefined;
    const oldest = verified.size >= maxRemembered ? verified.keys().next().value : undefined;
    if (oldest !== undefined) verified.delete(oldest);
    verified.set(token, signed);
    return signed.claims;
  };
  return {
    verify: async (token) => {
      const claims = await read(token);
      return claims?.aud === publicUrl ? claims : undefined;
    },
    verifyForAnybody: read,
  };
}

/** Keys come from our own table by `kid` only; what a header says by jku, jwk or x5u is never looked at (S25). */
async function verifySignature(token: string, keys: SigningKeys, keySet: KeySet): Promise<Verified | undefined> {
  let kid: string | undefined;
  try {
    const { payload, protectedHeader } = await compactVerify(
      token,
      async (header) => {
        if (!isKid(header.kid)) throw new errors.JWKSNoMatchingKey();
        kid = header.kid;
        // A key that another node signs with already may be news to this one.
        const { publicKeys } = keySet.publicKeys.has(kid) ? keySet : await keys.readAgain();
        const key = publicKeys.get(kid);
        if (!key) throw new errors.JWKSNoMatchingKey();
        return key;
      },
      { algorithms: ['ES256'] },
    );
    if (kid === undefined || protectedHeader.typ?.toLowerCase() !== 'at+jwt') return undefined;
    return { kid, claims: JSON.parse(Buffer.from(payload).toString('utf8')) };
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof SyntaxError || error instanceof TypeError)
      return undefined;
    throw error;
  }
}

function isValidNow(claims: Partial<AccessTokenClaims> | null, publicUrl: string): claims is AccessTokenClaims {
  if (typeof claims !== 'object' || claims === null) return false;
  const { iss, sub, aud, exp, iat, jti, client_id, scope, sid, grant_id, cnf, tenant, rev } = claims;
  const now = nowSeconds();
  return (
    iss === publicUrl &&
    [sub, aud, jti, client_id, scope, tenant].every((claim) => typeof claim === 'string') &&
    [sid, grant_id].every((claim) => claim === undefined || typeof claim === 'string') &&
    // Bound in some other way than we know how to check, it is bound all the same.
    (cnf === undefined || typeof cnf?.jkt === 'string') &&
    (rev === undefined || Array.isArray(rev)) &&
    Number.isSafeInteger(exp) &&
    Number(exp) > now &&
    Number.isSafeInteger(iat) &&
    Number(iat) <= now + maxSkewSeconds
  );
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
