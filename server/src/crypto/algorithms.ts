/**
 * What others may sign with that we check, proofs of possession and assertions of clients. Of public keys alone: whoever can
 * check an HMAC can make one. `Ed25519` is the newer name of what most still call `EdDSA` (RFC 9864).
 */
export const publicKeyAlgorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'Ed25519', 'EdDSA'] as const;
