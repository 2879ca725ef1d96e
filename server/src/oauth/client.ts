/**
 * OAuth: the server half of OAuth 2 for other programs. This folder owns the table `clients` and the calls under
 * `/oauth`; what a user's own session is, it leaves to `sessions/`. This file holds the words its operations share.
 */
import { firstPartyClientId } from '../crypto/claims.ts';

export const supportedGrants = ['client_credentials'] as const;
export type Grant = (typeof supportedGrants)[number];

export interface Client {
  /** UUID: subject of the client's own tokens, so that a later client of the same name is another one. */
  id: string;
  /** What callers know it by. */
  clientId: string;
  tenantId: string;
  isPublic: boolean;
  scopes: string[];
  grants: string[];
  redirectUris: string[];
  createdAt: Date;
}

/** Scope tokens of RFC 6749 §3.3, each once; undefined where the text is none. */
export function parseScope(text: string): string[] | undefined {
  const scopes = text.split(' ').filter((scope) => scope !== '');
  if (!scopes.every((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(scope))) return undefined;
  return [...new Set(scopes)];
}

/** @throws Error whose message completes "… ID" */
export function checkClientId(clientId: string): void {
  if (!/^[\x21-\x39\x3b-\x7e]{1,128}$/.test(clientId)) {
    throw new Error('must be 1 to 128 printable ASCII characters without spaces and colons');
  }
  if (clientId === firstPartyClientId) throw new Error(`must not be "${firstPartyClientId}": that is Postern itself`);
}
