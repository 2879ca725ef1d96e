import { deleteRole, putRole } from '../roles/manage-roles.ts';
import type { Role } from '../roles/role.ts';
import { rolesPage } from '../roles/store.ts';
import { asTable, type Command, requiredOption, tenantOf, textOption, withDatabase } from './command.ts';
import { revokeBy } from './revoke.ts';

const tenant = { type: 'string', value: 'SLUG', help: 'The tenant; default if left out.' } as const;

export const roleCommands: Command[] = [
  {
    name: 'roles list',
    summary: 'List the roles of a tenant, by name.',
    options: { tenant },
    run: (input) =>
      withDatabase(async ({ db }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const roles: Role[] = [];
        for (let after: string | undefined; ; after = roles.at(-1)?.name) {
          const page = await rolesPage(db, tenantId, { limit: 100, ...(after === undefined ? {} : { after }) });
          roles.push(...page);
          if (page.length < 100) break;
        }
        const rows = roles.map(present);
        input.print(rows, asTable(rows));
      }),
  },
  {
    name: 'roles set',
    positionals: 'NAME',
    summary: 'Make a role, or replace its scopes and description.',
    options: {
      scope: { type: 'string', value: '"SCOPE …"', help: 'Its scopes, e.g. "users:read orders:write"; may be empty.' },
      description: { type: 'string', help: 'For people.' },
      tenant,
    },
    details:
      'Scopes are those of Postern (basic, email, users:read, users:write, clients:register, mail:admin, admin) and names ' +
      'of your own.',
    run: async (input) => {
      const scopes = requiredOption(input, 'scope').split(/\s+/).filter(Boolean);
      const description = textOption(input, 'description');
      await withDatabase(async ({ db, config }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const given = { scopes, ...(description === undefined ? {} : { description }) };
        const name = input.positionals[0] ?? '';
        const { role } = await putRole({ db, revoke: revokeBy(config) }, { tenantId, name }, given);
        input.print(present(role), `The role ${role.name} has the scopes: ${role.scopes.join(' ') || 'none'}.`);
      });
    },
  },
  {
    name: 'roles delete',
    positionals: 'NAME',
    summary: 'Delete a role. Within a second nobody has it any more.',
    options: { tenant },
    run: (input) =>
      withDatabase(async ({ db, config }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const name = input.positionals[0] ?? '';
        await deleteRole({ db, revoke: revokeBy(config) }, { tenantId, name });
        input.print({ name, deleted: true }, `Deleted the role ${name}.`);
      }),
  },
];

function present({ name, scopes, description, createdAt, updatedAt }: Role) {
  return { name, scopes, description, created_at: createdAt, updated_at: updatedAt };
}
