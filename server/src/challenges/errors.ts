import { defineError } from '../errors.ts';

export const codeInvalid = defineError('challenges.code_invalid', 400, 'The code is wrong');
export const codeExpired = defineError('challenges.code_expired', 410, 'The code is no longer good');
export const tooManyTries = defineError('challenges.too_many_tries', 429, 'Too many tries');
export const tooManyLetters = defineError('challenges.too_many_letters', 429, 'Too many letters to one address');
export const linkInvalid = defineError('challenges.link_invalid', 400, 'The link is wrong');
export const linkExpired = defineError('challenges.link_expired', 410, 'The link is no longer good');
