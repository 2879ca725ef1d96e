import { integer, list } from '../settings.ts';

export const cryptoSettings = {
  secretKeys: {
    ...list('SECRET_KEY', { default: [], help: '', check: checkKey }),
    secret: true,
    defaultText: 'generated into `DATA_DIR` in development; required in production',
    help:
      'Encrypts keys at rest and keys the HMACs: at least 32 random bytes in base64 (`openssl rand -base64 32`). ' +
      'A comma-separated list rotates: the first is used, the others still open what they sealed.',
  },
  signingKeyDays: integer('SIGNING_KEY_DAYS', {
    default: 90,
    min: 1,
    max: 3_650,
    help: 'How long a key signs access tokens before the next one does. `postern signing-keys` shows and changes them.',
  }),
};

function checkKey(key: string): void {
  const bytes = /^[A-Za-z0-9+/_-]+={0,2}$/.test(key) ? Buffer.from(key, 'base64') : Buffer.alloc(0);
  if (bytes.length < 32)
    throw new Error('must be at least 32 random bytes in base64, e.g. from: openssl rand -base64 32');
  if (new Set(bytes).size < 8)
    throw new Error('is not random: it repeats the same few bytes. Use: openssl rand -base64 32');
}
