import { createKey } from '../api-keys/create-key.ts';
import { listKeys } from '../api-keys/list-keys.ts';
import { revokeKey } from '../api-keys/revoke-key.ts';
import { listTenants } from '../tenants/tenants.ts';
import { asTable, type Command, requiredOption, tenantOf, textOption, UsageError, withDatabase } from './command.ts';
import { rotateCommand } from './signing-keys.ts';

export const keyCommands: Command[] = [
  {
    name: 'keys create',
    summary: 'Make an API key: a long-lived secret for a back end. Never for browsers.',
    options: {
      name: { type: 'string', value: 'NAME', help: 'What it is for, so that you can tell keys apart.' },
      scope: { type: 'string', value: '"SCOPE …"', help: 'Its scopes, e.g. "email users:read".' },
      tenant: { type: 'string', value: 'SLUG', help: 'Its tenant; default if left out.' },
      'expires-days': { type: 'string', value: 'N', help: 'Days until it expires; never if left out.' },
    },
    run: async (input) => {
      const name = requiredOption(input, 'name');
      const scopes = requiredOption(input, 'scope').split(/\s+/).filter(Boolean);
      const days = textOption(input, 'expires-days');
      const expiresInDays = Number(days);
      if (days !== undefined && !(expiresInDays > 0)) throw new UsageError('--expires-days must be a number of days');
      await withDatabase(async ({ db, secrets }) => {
        const { id: tenantId, slug } = await tenantOf(input, db);
        const asked = { tenantId, name, scopes, ...(days === undefined ? {} : { expiresInDays }) };
        const made = await createKey({ db, secrets }, asked);
        const { id, key, expiresAt } = made;
        const json = { id, key, name, scope: made.scopes.join(' '), tenant: slug, expires_at: expiresAt };
        const expiry = expiresAt === null ? '' : `\nexpires  ${expiresAt.toISOString()}`;
        input.print(json, `id       ${id}\nkey      ${key}${expiry}\n\nThe key is shown this once.`);
      });
    },
  },
  {
    name: 'keys list',
    summary: 'List the API keys, of one tenant or of all. Of each key only the beginning is known.',
    options: { tenant: { type: 'string', value: 'SLUG', help: 'Only this tenant.' } },
    run: (input) =>
      withDatabase(async ({ db }) => {
        const only = textOption(input, 'tenant') === undefined ? undefined : (await tenantOf(input, db)).id;
        const slugs = new Map((await listTenants(db)).map(({ id, slug }) => [id, slug]));
        const keys = (await listKeys({ db }, only)).map((key) => ({
          id: key.id,
          name: key.name,
          prefix: key.prefix,
          tenant: slugs.get(key.tenantId),
          scope: key.scopes.join(' '),
          created_at: key.createdAt,
          expires_at: key.expiresAt,
          last_used_at: key.lastUsedAt,
          revoked_at: key.revokedAt,
        }));
        input.print(keys, asTable(keys));
      }),
  },
  {
    name: 'keys revoke',
    positionals: 'ID',
    summary: 'Revoke an API key for good. It is dead within a second.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db }) => {
        const id = positionals[0] ?? '';
        await revokeKey({ db }, id);
        print({ id, revoked: true }, `Revoked the API key ${id}.`);
      }),
  },
  {
    ...rotateCommand,
    name: 'keys rotate',
    summary: 'The same as signing-keys rotate: about the keys that sign tokens, not API keys.',
  },
];
