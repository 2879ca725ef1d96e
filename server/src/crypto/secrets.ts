/**
 * What SECRET_KEY does: HMACs of codes and tokens, and sealing of what must be readable again (signing keys, letters
 * that hold a code). Each use has its own key, derived by HKDF, so that none can be mistaken for another.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

export interface Secrets {
  /** HMAC-SHA-256 under the newest key, 32 bytes. */
  hmac: (purpose: string, data: string) => Buffer;
  /** HMACs under every key of SECRET_KEY, newest first: for comparing with what an older key made. */
  hmacs: (purpose: string, data: string) => Buffer[];
  /** AES-256-GCM; `purpose` is bound to the result. */
  seal: (purpose: string, plain: string | Buffer) => Buffer;
  /** @throws Error when no key opens it */
  open: (purpose: string, sealed: Uint8Array) => Buffer;
}

const nonceLength = 12;
const tagLength = 16;

/** @param keys at least 32 bytes each, newest first */
export function makeSecrets(keys: readonly Buffer[]): Secrets {
  const derived = new Map<string, KeyObject[]>();
  const keysFor = (use: string): [KeyObject, ...KeyObject[]] => {
    let found = derived.get(use);
    if (!found) {
      // As KeyObjects: Node tells bytes from them by errors that it throws and catches, which costs more than an HMAC.
      found = keys.map((key) => createSecretKey(Buffer.from(hkdfSync('sha256', key, 'postern', use, 32))));
      derived.set(use, found);
    }
    const [newest, ...older] = found;
    if (!newest) throw new Error('SECRET_KEY holds no key.');
    return [newest, ...older];
  };
  const hmacs = (purpose: string, data: string) =>
    keysFor(`hmac ${purpose}`).map((key) => createHmac('sha256', key).update(data).digest());

  return {
    hmac: (purpose, data) =>
      createHmac('sha256', keysFor(`hmac ${purpose}`)[0])
        .update(data)
        .digest(),
    hmacs,
    seal: (purpose, plain) => {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', keysFor(`seal ${purpose}`)[0], nonce);
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open: (purpose, sealed) => {
      const nonce = sealed.subarray(0, nonceLength);
      const body = sealed.subarray(nonceLength, -tagLength);
      for (const key of keysFor(`seal ${purpose}`)) {
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength });
        decipher.setAuthTag(sealed.subarray(-tagLength));
        try {
          return Buffer.concat([decipher.update(body), decipher.final()]);
        } catch {
          // Sealed under another key of the list.
        }
      }
      throw new Error(
        `SECRET_KEY does not open what was sealed for "${purpose}". Put the former key back into the list.`,
      );
    },
  };
}
