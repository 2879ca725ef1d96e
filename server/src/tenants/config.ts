import { choice } from '../settings.ts';

export const tenantSettings = {
  tenants: choice('TENANTS', ['open', 'closed'], {
    default: undefined,
    defaultText: '`open` in development, `closed` in production',
    help: 'Whether a `server` named for the first time becomes a tenant, or answers 404 `tenants.unknown`.',
  }),
};
