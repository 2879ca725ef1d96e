import { defineError } from '../errors.ts';

export const roleNotFound = defineError('roles.not_found', 404, 'There is no such role');
export const tooManyRoles = defineError('roles.too_many', 409, 'This user has as many roles as one can have');
