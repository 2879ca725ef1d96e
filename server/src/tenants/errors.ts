import { defineError } from '../errors.ts';

export const unknownTenant = defineError('tenants.unknown', 404, 'There is no such tenant');
export const tenantExists = defineError('tenants.already_exists', 409, 'There is a tenant of this name already');
