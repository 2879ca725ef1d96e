/** How public calls name a tenant. */
import { Type } from 'typebox';

export const TenantHeaders = Type.Object({
  'postern-tenant': Type.Optional(Type.String({ description: 'The tenant of a public call' })),
});
