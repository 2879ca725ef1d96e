import { parseScope } from '../oauth/client.ts';
import {
  createClient,
  deleteClient,
  listClients,
  maxOverlapSeconds,
  readClient,
  rotateClientSecret,
  updateClient,
} from '../oauth/manage-clients.ts';
import { presentClient } from '../oauth/present-client.ts';
import { listTenants } from '../tenants/tenants.ts';
import { clientOptions, ofNewClient, readClientOptions, takenBack } from './client-options.ts';
import {
  asTable,
  type Command,
  type Input,
  requiredOption,
  tenantOf,
  textOption,
  UsageError,
  withDatabase,
} from './command.ts';
import { revokeBy } from './revoke.ts';

const shownOnce = 'The secret is shown this once.';
const scope = { type: 'string', value: '"SCOPE …"', help: 'Its scopes, e.g. "basic email".' } as const;

export const clientCommands: Command[] = [
  {
    name: 'clients create',
    summary: 'Make an OAuth client: a program that gets tokens, in its own name or for users.',
    details:
      'Without --grant it may use client_credentials; a public one, which cannot, authorization_code. Redirect URIs are ' +
      'https, http on localhost, 127.0.0.1 or [::1], or with --native a scheme like com.example.app.',
    options: {
      id: { type: 'string', value: 'ID', help: 'Its client_id; random if left out.' },
      secret: { type: 'string', value: 'SECRET', help: 'Its client_secret; random if left out, which is better.' },
      public: { type: 'boolean', help: 'It can keep no secret, and gets none: --auth-method none.' },
      scope,
      tenant: { type: 'string', value: 'SLUG', help: 'Its tenant; default if left out.' },
      ...clientOptions,
    },
    run: async (input) => {
      const scopes = scopesIn(requiredOption(input, 'scope'));
      const { metadata, ...given } = readClientOptions(input);
      const isPublic = input.options.public === true;
      const method = metadata?.token_endpoint_auth_method ?? 'none';
      if (isPublic && method !== 'none') throw new UsageError(`--public is not --auth-method ${method}`);
      await withDatabase(async ({ db, secrets }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const { client, secret } = await createClient(
          { db, secrets },
          {
            ...given,
            tenantId,
            scopes,
            clientId: textOption(input, 'id'),
            secret: textOption(input, 'secret'),
            metadata: { ...ofNewClient(metadata), ...(isPublic ? { token_endpoint_auth_method: 'none' } : {}) },
          },
        );
        printSecret(input, client.clientId, secret);
      });
    },
  },
  {
    name: 'clients list',
    summary: 'List the clients, of one tenant or of all.',
    options: { tenant: { type: 'string', value: 'SLUG', help: 'Only this tenant.' } },
    run: (input) =>
      withDatabase(async ({ db }) => {
        const only = textOption(input, 'tenant') === undefined ? undefined : (await tenantOf(input, db)).id;
        const clients = (await listClients({ db }, only)).map((client) => ({
          client_id: client.clientId,
          scope: client.scopes.join(' '),
          grants: client.grants,
          public: client.isPublic,
          created_at: client.createdAt,
        }));
        input.print(clients, asTable(clients));
      }),
  },
  {
    name: 'clients show',
    positionals: 'ID',
    summary: 'Show a client, in the words of RFC 7591.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db }) => {
        const client = await readClient({ db }, { clientId: positionals[0] ?? '' });
        const tenant = (await listTenants(db)).find(({ id }) => id === client.tenantId)?.slug;
        const shown = { ...presentClient(client), tenant };
        print(shown, asLines(shown));
      }),
  },
  {
    name: 'clients update',
    positionals: 'ID',
    summary: 'Change a client. Tokens that are out live on to their end.',
    details:
      'Only what is given changes, lists as a whole; an empty value takes it away (--jwks ""). A client that comes to an ' +
      'auth method with a secret gets one, which is shown this once.',
    options: { scope, ...clientOptions, ...takenBack },
    run: async (input) => {
      if (Object.keys(input.options).every((name) => name === 'json')) throw new UsageError('Say what is to change');
      const scopeText = textOption(input, 'scope');
      const change = {
        ...readClientOptions(input),
        ...(scopeText === undefined ? {} : { scopes: scopesIn(scopeText) }),
      };
      await withDatabase(async ({ db, secrets }) => {
        const { client, secret } = await updateClient(
          { db, secrets },
          { clientId: input.positionals[0] ?? '' },
          change,
        );
        const shown = { ...presentClient(client), ...(secret === undefined ? {} : { client_secret: secret }) };
        input.print(shown, `${asLines(shown)}${secret === undefined ? '' : `\n\n${shownOnce}`}`);
      });
    },
  },
  {
    name: 'clients rotate',
    positionals: 'ID',
    summary: 'Give a client another secret. The former one is dead within a second, or after --overlap.',
    options: {
      secret: { type: 'string', value: 'SECRET', help: 'The new secret; random if left out, which is better.' },
      overlap: { type: 'string', value: 'SECONDS', help: 'How long the former one is good too; 0 if left out.' },
    },
    run: (input) => {
      const overlap = textOption(input, 'overlap') ?? '0';
      const overlapSeconds = Number(overlap);
      if (!/^\d{1,9}$/.test(overlap) || overlapSeconds > maxOverlapSeconds) {
        throw new UsageError(`--overlap must be 0 to ${maxOverlapSeconds} seconds`);
      }
      return withDatabase(async ({ db, secrets }) => {
        const clientId = input.positionals[0] ?? '';
        const asked = { clientId, secret: textOption(input, 'secret'), overlapSeconds };
        const { secret } = await rotateClientSecret({ db, secrets }, asked);
        printSecret(input, clientId, secret);
      });
    },
  },
  {
    name: 'clients delete',
    positionals: 'ID',
    summary: 'Delete a client. Its tokens are dead within a second.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db, config }) => {
        const clientId = positionals[0] ?? '';
        await deleteClient({ db, revoke: revokeBy(config) }, { clientId });
        print({ client_id: clientId, deleted: true }, `Deleted the client "${clientId}".`);
      }),
  },
];

function scopesIn(text: string): string[] {
  const scopes = parseScope(text);
  if (!scopes || scopes.length === 0) throw new UsageError('--scope must be scopes separated by spaces');
  return scopes;
}

function printSecret({ print }: Input, clientId: string, secret: string | undefined) {
  print(
    { client_id: clientId, ...(secret === undefined ? {} : { client_secret: secret }) },
    `client_id      ${clientId}${secret === undefined ? '' : `\nclient_secret  ${secret}\n\n${shownOnce}`}`,
  );
}

/** A member a line. */
function asLines(shown: object): string {
  const rows = Object.entries(shown).map(([name, value]) => {
    const isList = Array.isArray(value);
    return [name, isList ? value.join(' ') : typeof value === 'object' ? JSON.stringify(value) : String(value)];
  });
  const width = Math.max(...rows.map(([name = '']) => name.length)) + 2;
  return rows.map(([name = '', value = '']) => name.padEnd(width) + (value || '—')).join('\n');
}
