import { integer } from '../settings.ts';

export const challengeSettings = {
  verifyCodeDigits: integer('VERIFY_CODE_DIGITS', { default: 4, min: 4, max: 10, help: 'Digits of a mailed code.' }),
  verifyCodeSeconds: integer('VERIFY_CODE_SECONDS', {
    default: 60,
    min: 1,
    max: 86_400,
    help: 'How long a mailed code is good for.',
  }),
  verifyLinkSeconds: integer('VERIFY_LINK_SECONDS', {
    default: 86_400,
    min: 1,
    max: 2_592_000,
    help: 'How long the link in the same letter is good for.',
  }),
  invitationSeconds: integer('INVITATION_SECONDS', {
    default: 604_800,
    min: 1,
    max: 2_592_000,
    help: 'How long the link of an invitation is good for.',
  }),
};
