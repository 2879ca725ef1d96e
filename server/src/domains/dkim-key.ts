import { generateKeyPair, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Secrets } from '../crypto/secrets.ts';
import type { DkimAlgorithm } from './domain.ts';

const generate = promisify(generateKeyPair);

export interface NewDkimKey {
  selector: string;
  algorithm: DkimAlgorithm;
  publicKey: string;
  privateSealed: Buffer;
}

/** The purpose private keys are sealed for. */
export const dkimSeal = 'dkim-key';

/**
 * Makes a key of each algorithm: RSA of 2048 bits, which every receiver verifies, and Ed25519 (RFC 8463), which is short.
 * Selectors are random, so that they are new after each rotation and differ between tenants that share a domain.
 */
export async function newDkimKeys(secrets: Secrets): Promise<NewDkimKey[]> {
  const id = randomBytes(4).toString('hex');
  const [rsa, ed25519] = await Promise.all([generate('rsa', { modulusLength: 2_048 }), generate('ed25519')]);
  const sealed = ({ privateKey }: typeof rsa) =>
    secrets.seal(dkimSeal, privateKey.export({ type: 'pkcs8', format: 'der' }));
  return [
    {
      selector: `postern-${id}-rsa`,
      algorithm: 'rsa',
      publicKey: rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      privateSealed: sealed(rsa),
    },
    {
      selector: `postern-${id}-ed25519`,
      algorithm: 'ed25519',
      // The bare 32 octets, which SPKI has at its end (RFC 8463 section 4).
      publicKey: ed25519.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64'),
      privateSealed: sealed(ed25519),
    },
  ];
}
