import { defineError } from '../errors.ts';

export const suppressionNotFound = defineError('suppressions.not_found', 404, 'This address is not suppressed');
