import { defineError } from '../errors.ts';

export const domainNotFound = defineError('domains.not_found', 404, 'No such domain');
export const domainExists = defineError('domains.exists', 409, 'This domain is there already');
