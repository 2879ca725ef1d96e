import { timingSafeEqual } from 'node:crypto';
import type { Secrets } from '../crypto/secrets.ts';

/** What a link to unsubscribe is about: whom, from whose mail, and the letter it stood in. */
export interface Subscription {
  tenantId: string;
  emailId: string;
  address: string;
}

const purpose = 'unsubscribe';
const uuidOctets = 16;

/** All that is needed, and an HMAC over it: so a link works for as long as its key is in SECRET_KEY, and takes no row. */
export function unsubscribeToken(secrets: Secrets, { tenantId, emailId, address }: Subscription): string {
  const ids = Buffer.from(`${tenantId}${emailId}`.replaceAll('-', ''), 'hex');
  const payload = Buffer.concat([ids, Buffer.from(address)]).toString('base64url');
  return `${payload}.${secrets.hmac(purpose, payload).toString('base64url')}`;
}

/** Undefined for what is no token of ours. */
export function readUnsubscribeToken(secrets: Secrets, token: string): Subscription | undefined {
  const [payload = '', mac = ''] = token.split('.');
  const given = Buffer.from(mac, 'base64url');
  const isOurs = secrets
    .hmacs(purpose, payload)
    .some((one) => one.length === given.length && timingSafeEqual(one, given));
  if (!isOurs) return undefined;
  const octets = Buffer.from(payload, 'base64url');
  return {
    tenantId: uuid(octets.subarray(0, uuidOctets)),
    emailId: uuid(octets.subarray(uuidOctets, uuidOctets * 2)),
    address: octets.subarray(uuidOctets * 2).toString(),
  };
}

function uuid(octets: Buffer): string {
  return octets.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
