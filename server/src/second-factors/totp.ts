/** Codes of TOTP (RFC 6238) as every authenticator app takes them: six digits, thirty seconds, SHA-1. */
import { timingSafeEqual } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';

const periodSeconds = 30;
/** Steps to either side of now that are good too: clocks go wrong, and people type. */
const window = 1;

export interface TotpSecret {
  /** Base32, to be typed in by hand. */
  text: string;
  /** `otpauth:` URI, to be shown as a QR code. */
  uri: string;
}

/** To be sealed. */
export function makeTotpSecret(): Buffer {
  return Buffer.from(new Secret({ size: 20 }).bytes);
}

/** @param account what the app shows beside `issuer`: an e-mail address, say */
export function describeTotp(bytes: Uint8Array, { issuer, account }: { issuer: string; account: string }): TotpSecret {
  const secret = new Secret({ buffer: Uint8Array.from(bytes).buffer });
  const totp = new TOTP({ issuer, label: account, secret, digits: 6, period: periodSeconds, algorithm: 'SHA1' });
  return { text: secret.base32, uri: totp.toString() };
}

/**
 * @param now in milliseconds since 1970
 * @returns the time step whose code it is, if it is one of now
 */
export function stepOf(code: string, secret: Uint8Array, now: number): number | undefined {
  const step = Math.floor(now / 1000 / periodSeconds);
  const given = Buffer.from(code);
  const key = new Secret({ buffer: Uint8Array.from(secret).buffer });
  for (let candidate = step - window; candidate <= step + window; candidate++) {
    const timestamp = candidate * periodSeconds * 1000;
    const good = Buffer.from(
      TOTP.generate({ secret: key, digits: 6, period: periodSeconds, algorithm: 'SHA1', timestamp }),
    );
    if (given.length === good.length && timingSafeEqual(given, good)) return candidate;
  }
  return undefined;
}
