import { defineError } from '../errors.ts';

export const secondFactorInvalid = defineError('second_factors.invalid', 401, 'The second factor is wrong');
export const factorNotFound = defineError('second_factors.not_found', 404, 'There is no such second factor');
export const tooManyFactors = defineError('second_factors.too_many', 409, 'There are enough second factors');
export const passkeyKnown = defineError('second_factors.passkey_known', 409, 'This passkey is in use already');
export const passkeyInvalid = defineError('second_factors.passkey_invalid', 400, 'The passkey gave no good answer');
export const addressUnproven = defineError(
  'second_factors.address_unproven',
  403,
  'The address has to be proven first',
);
export const stepUpRequired = defineError('auth.step_up_required', 401, 'This needs a recent login');
