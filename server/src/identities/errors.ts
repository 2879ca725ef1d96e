import { defineError } from '../errors.ts';

export const unknownProvider = defineError('identities.unknown_provider', 404, 'There is no such provider here');
export const providerAway = defineError('identities.provider_unavailable', 503, 'The provider cannot be reached');
export const redirectNotAllowed = defineError(
  'identities.redirect_not_allowed',
  400,
  'Browsers are not sent to that address',
);
export const signInInvalid = defineError('identities.sign_in_invalid', 400, 'This sign-in cannot be completed');
export const signInRefused = defineError('identities.sign_in_refused', 403, 'The provider did not let this user in');
export const answerInvalid = defineError('identities.answer_invalid', 401, 'What the provider says cannot be trusted');
export const emailUnverified = defineError(
  'identities.email_unverified',
  403,
  'The provider does not vouch for the e-mail address',
);
export const codeInvalid = defineError('identities.code_invalid', 400, 'The code is not valid');
export const identityNotFound = defineError('identities.not_found', 404, 'There is no such identity');
export const lastWayIn = defineError('identities.last_way_in', 409, 'Without it this user could not log in any more');
