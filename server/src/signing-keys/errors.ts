import { defineError } from '../errors.ts';

export const nextTooNew = defineError('signing_keys.next_too_new', 409, 'The next signing key is too new');
export const signingKeyNotFound = defineError('signing_keys.not_found', 404, 'There is no such signing key');
