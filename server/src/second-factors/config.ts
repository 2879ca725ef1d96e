import { checkUrl, list, text } from '../settings.ts';

export const secondFactorSettings = {
  webauthnRpId: text('WEBAUTHN_RP_ID', {
    default: undefined,
    defaultText: 'the host of `PUBLIC_URL`',
    help:
      'The domain passkeys are made for. They are good on it and below it alone, and never again anywhere else: ' +
      'choose it before the first passkey is made.',
  }),
  webauthnOrigins: list('WEBAUTHN_ORIGINS', {
    default: [],
    defaultText: 'none',
    help:
      'Further origins whose pages may ask for a passkey, beside that of `PUBLIC_URL`, comma-separated ' +
      '(`https://app.example.com`).',
    check: checkOrigin,
  }),
};

function checkOrigin(item: string): void {
  checkUrl(item, ['https:', 'http:']);
  if (new URL(item).origin !== item) throw new Error('must hold origins: a scheme and a host, and nothing after it');
}
