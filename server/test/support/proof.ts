/** A program with a key of its own, as clients of DPoP and of `private_key_jwt` are. */
import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export interface KeyHolder {
  alg: string;
  publicJwk: JWK;
  privateJwk: JWK;
  thumbprint: string;
  /** Signs claims as they are. */
  sign: (claims: Record<string, unknown>, header?: Record<string, unknown>) => Promise<string>;
  /** A good proof of DPoP, but for what `claims` and `header` say otherwise. */
  prove: (
    htm: string,
    htu: string,
    more?: { token?: string; claims?: Record<string, unknown>; header?: Record<string, unknown> },
  ) => Promise<string>;
}

export async function newKeyHolder(alg = 'ES256'): Promise<KeyHolder> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const sign: KeyHolder['sign'] = (claims, header = {}) =>
    new SignJWT(claims).setProtectedHeader({ alg, ...header }).sign(privateKey);
  return {
    alg,
    publicJwk,
    privateJwk: await exportJWK(privateKey),
    thumbprint: await calculateJwkThumbprint(publicJwk),
    sign,
    prove: (htm, htu, { token, claims, header } = {}) => {
      const ath = token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') };
      const iat = Math.floor(Date.now() / 1000);
      return sign(
        { htm, htu, iat, jti: randomUUID(), ...ath, ...claims },
        { typ: 'dpop+jwt', jwk: publicJwk, ...header },
      );
    },
  };
}
