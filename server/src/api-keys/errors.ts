import { defineError } from '../errors.ts';

export const keyNotFound = defineError('api_keys.not_found', 404, 'There is no such API key');
export const keyInvalid = defineError('api_keys.invalid', 400, 'The API key cannot be made like this');
