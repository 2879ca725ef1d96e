import { randomBytes } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';

export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * What is stored of a secret. Given ones may be weak, so it is an HMAC: without SECRET_KEY a dump gives nothing to guess
 * against, and no slow hash stands on the way of machines.
 */
export function hashSecret(secrets: Secrets, clientId: string, secret: string): Buffer {
  return secrets.hmac('client-secret', secretText(clientId, secret));
}

export function secretText(clientId: string, secret: string): string {
  return `${clientId}:${secret}`;
}
