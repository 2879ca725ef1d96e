import { createTenant, listTenants } from '../tenants/tenants.ts';
import { asTable, type Command, withDatabase } from './command.ts';

export const tenantCommands: Command[] = [
  {
    name: 'tenants create',
    positionals: 'SLUG',
    summary: 'Make a tenant: an isolated pool of users and mail.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db }) => {
        const tenant = await createTenant(db, positionals[0] ?? '');
        print(tenant, `Made the tenant "${tenant.slug}".`);
      }),
  },
  {
    name: 'tenants list',
    summary: 'List the tenants.',
    run: ({ print }) =>
      withDatabase(async ({ db }) => {
        const tenants = (await listTenants(db)).map(({ id, slug, createdAt }) => ({ id, slug, created_at: createdAt }));
        print(tenants, asTable(tenants));
      }),
  },
];
