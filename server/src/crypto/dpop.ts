/**
 * Proofs of possession (DPoP, RFC 9449): a JWT that a program signs anew for each request, by a key of its own, so that a
 * token that is bound to the key is worth nothing to whoever has stolen the token alone.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { calculateJwkThumbprint, compactVerify, EmbeddedJWK, type JWK } from 'jose';
import type { Database } from '../database/database.ts';
import { nowSeconds } from './access-tokens.ts';
import { publicKeyAlgorithms } from './algorithms.ts';
import { onceKey, useOnce } from './used-once.ts';

/** Why a proof is refused, in a sentence. */
export class InvalidProof extends Error {}

/** What of a request its proof speaks of. */
export interface ProvenRequest {
  method: string;
  /** The target as it was sent: path and query. */
  url: string;
  headers: IncomingHttpHeaders;
}

export interface Proof {
  /** Of the key that signed (RFC 7638): what `cnf.jkt` of a token is compared with. */
  thumbprint: string;
  /** To be used once. */
  replayKey: Buffer;
}

/**
 * Checks the proof of a request, uses it up, and returns the thumbprint of its key.
 * @throws InvalidProof
 */
export type ProveKey = (request: ProvenRequest, accessToken?: string) => Promise<string>;

// A proof is made for the request at hand, so it is as old as the way here is long. Clocks of programs go wrong by more
// than those of servers, but what is older than a minute is more likely stolen than slow; ahead of ours, S27 says how far.
const maxAgeSeconds = 60;
const maxSkewSeconds = 30;
// From the earliest moment a proof is good to the last, and what nodes' clocks may differ by.
const rememberSeconds = maxAgeSeconds + 2 * maxSkewSeconds;
// One with an RSA key of 4096 bits has 2,300 characters. Keys that are much larger would cost more than they protect.
const maxProofLength = 4_096;

export function makeProveKey({ db, publicUrl }: { db: Database; publicUrl: string }): ProveKey {
  return async (request, accessToken) => {
    const { thumbprint, replayKey } = await verifyDpop({ publicUrl }, request, accessToken);
    if (!(await useOnce(db, replayKey, rememberSeconds))) throw new InvalidProof('The DPoP proof was used already.');
    return thumbprint;
  };
}

/**
 * Checks the proof of a request (§4.3), but not whether it was used before.
 * @param accessToken the one that came with it, where the request is for a resource
 * @throws InvalidProof
 */
export async function verifyDpop(
  { publicUrl }: { publicUrl: string },
  { method, url, headers }: ProvenRequest,
  accessToken?: string,
): Promise<Proof> {
  const { dpop } = headers;
  // Of several headers Node makes one with commas in it, which no JWT has: that there is but one needs no check of its own.
  if (typeof dpop !== 'string' || dpop.length > maxProofLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(dpop)) {
    throw new InvalidProof('Send one DPoP header, with a signed JWT of at most 4096 characters.');
  }
  const { jwk, claims } = await verifySignature(dpop);
  const { htm, htu, iat, jti, ath } = claims;
  if (htm !== method) throw new InvalidProof(`The claim htm of the DPoP proof must be ${method}.`);
  const here = url.startsWith('/') ? normalized(publicUrl + url) : undefined;
  if (here === undefined || typeof htu !== 'string' || normalized(htu) !== here) {
    throw new InvalidProof(`The claim htu of the DPoP proof must be ${here}.`);
  }
  const now = nowSeconds();
  if (typeof iat !== 'number' || iat < now - maxAgeSeconds || iat > now + maxSkewSeconds) {
    throw new InvalidProof('The claim iat of the DPoP proof must be the time at which it was made, just now.');
  }
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > 256) {
    throw new InvalidProof('The claim jti of the DPoP proof must be a text of 1 to 256 characters.');
  }
  if (accessToken !== undefined && ath !== createHash('sha256').update(accessToken).digest('base64url')) {
    throw new InvalidProof('The claim ath of the DPoP proof must be the SHA-256 of the access token, in base64url.');
  }
  const thumbprint = await calculateJwkThumbprint(jwk);
  return { thumbprint, replayKey: onceKey('dpop', thumbprint, jti) };
}

async function verifySignature(proof: string): Promise<{ jwk: JWK; claims: Record<string, unknown> }> {
  const {
    payload,
    protectedHeader: { typ, jwk },
  } = await compactVerify(proof, EmbeddedJWK, { algorithms: [...publicKeyAlgorithms] }).catch((error: unknown) => {
    // Everything it is checked by is in the proof, so whatever goes wrong is wrong in there.
    throw new InvalidProof('The signature of the DPoP proof is not good for the key in its header.', { cause: error });
  });
  if (typ?.toLowerCase() !== 'dpop+jwt') throw new InvalidProof('The typ of the DPoP proof must be dpop+jwt.');
  // A key whose private half has come here is nobody's alone (§4.3, 7). Not every part of one makes it private to a library.
  if (!jwk || ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].some((member) => member in jwk)) {
    throw new InvalidProof('The jwk in the header of the DPoP proof must be a public key.');
  }
  return { jwk, claims: readClaims(payload) };
}

function readClaims(payload: Uint8Array): Record<string, unknown> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    if (typeof claims === 'object' && claims !== null) return claims as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new InvalidProof('The payload of the DPoP proof must be a JSON object.');
}

/** Without query and fragment, in one spelling of those that mean the same (RFC 3986 §6.2.2 and §6.2.3). */
function normalized(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  const path = pathname.replace(/%[0-9a-f]{2}/gi, (code) => {
    const char = String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return /[\w.~-]/.test(char) ? char : code.toUpperCase();
  });
  return origin + path;
}
