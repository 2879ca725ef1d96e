import { defineError } from '../errors.ts';

export const invalidRefreshToken = defineError('auth.invalid_refresh_token', 401, 'The refresh token is not good');
export const sessionNotFound = defineError('sessions.not_found', 404, 'There is no such session');
export const cannotTell = defineError('auth.revocations_unknown', 503, 'Whether the token was revoked is not known');
export const secondFactorRequired = defineError('auth.second_factor_required', 403, 'A second factor is needed');
export const signInOver = defineError('auth.sign_in_over', 410, 'This login is over');
