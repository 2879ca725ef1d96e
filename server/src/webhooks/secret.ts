/** Secrets of endpoints, and the signatures made with them (Standard Webhooks, symmetric: HMAC-SHA-256). */
import { randomBytes } from 'node:crypto';
import { Webhook as Signer } from 'standardwebhooks';
import type { Secrets } from '../crypto/secrets.ts';

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

export function sealSecret(secrets: Secrets, secret: string): Buffer {
  return secrets.seal('webhook', secret);
}

/** @throws Error when SECRET_KEY does not open it */
export function openSecret(secrets: Secrets, sealed: Uint8Array): string {
  return secrets.open('webhook', sealed).toString('utf8');
}

/**
 * The headers that say which message this is and who wrote it, signed with each secret: receivers accept it if one of
 * the signatures is good.
 */
export function signedHeaders(
  secrets: string[],
  { id, at, body }: { id: string; at: Date; body: string },
): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Signer(secret).sign(id, at, body)).join(' '),
  };
}
