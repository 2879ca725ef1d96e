import { parseScope } from '../oauth/client.ts';
import { createClient, deleteClient, listClients, rotateClientSecret } from '../oauth/manage-clients.ts';
import { revocationSeconds } from '../sessions/revocations.ts';
import { insertRevocations } from '../sessions/store.ts';
import {
  asTable,
  type Command,
  listOption,
  requiredOption,
  tenantOf,
  textOption,
  UsageError,
  withDatabase,
} from './command.ts';

const shownOnce = 'The secret is shown this once.';

export const clientCommands: Command[] = [
  {
    name: 'clients create',
    summary: 'Make an OAuth client: a program that gets tokens in its own name.',
    options: {
      id: { type: 'string', value: 'ID', help: 'Its client_id; random if left out.' },
      secret: { type: 'string', value: 'SECRET', help: 'Its client_secret; random if left out, which is better.' },
      public: { type: 'boolean', help: 'It can keep no secret, and gets none.' },
      scope: { type: 'string', value: '"SCOPE …"', help: 'Its scopes, e.g. "basic email".' },
      tenant: { type: 'string', value: 'SLUG', help: 'Its tenant; default if left out.' },
      grant: {
        type: 'string',
        multiple: true,
        value: 'GRANT',
        help: 'What it may ask tokens with; client_credentials if left out.',
      },
      'redirect-uri': { type: 'string', multiple: true, value: 'URI', help: 'Where users may be sent back to.' },
    },
    run: async (input) => {
      const scopes = parseScope(requiredOption(input, 'scope'));
      if (!scopes || scopes.length === 0) throw new UsageError('--scope must be scopes separated by spaces');
      const id = textOption(input, 'id');
      const secret = textOption(input, 'secret');
      const grants = listOption(input, 'grant');
      await withDatabase(async ({ db, secrets }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const made = await createClient(
          { db, secrets },
          {
            tenantId,
            scopes,
            redirectUris: listOption(input, 'redirect-uri'),
            public: input.options.public === true,
            ...(id === undefined ? {} : { clientId: id }),
            ...(secret === undefined ? {} : { secret }),
            ...(grants.length === 0 ? {} : { grants }),
          },
        );
        printSecret(input, made);
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
    name: 'clients rotate',
    positionals: 'ID',
    summary: 'Give a client another secret. The former one is dead within a second.',
    options: {
      secret: { type: 'string', value: 'SECRET', help: 'The new secret; random if left out, which is better.' },
    },
    run: (input) =>
      withDatabase(async ({ db, secrets }) => {
        const secret = textOption(input, 'secret');
        const clientId = input.positionals[0] ?? '';
        const rotated = await rotateClientSecret(
          { db, secrets },
          { clientId, ...(secret === undefined ? {} : { secret }) },
        );
        printSecret(input, rotated);
      }),
  },
  {
    name: 'clients delete',
    positionals: 'ID',
    summary: 'Delete a client. Its tokens are dead within a second.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db, config }) => {
        const seconds = revocationSeconds(config.accessTokenSeconds);
        const id = positionals[0] ?? '';
        await deleteClient({ db, revoke: (tx, subjects) => insertRevocations(tx, subjects, seconds) }, id);
        print({ client_id: id, deleted: true }, `Deleted the client "${id}".`);
      }),
  },
];

function printSecret(
  { print }: { print: (json: unknown, text: string) => void },
  made: { clientId: string; secret?: string },
) {
  const { clientId, secret } = made;
  print(
    { client_id: clientId, ...(secret === undefined ? {} : { client_secret: secret }) },
    `client_id      ${clientId}${secret === undefined ? '' : `\nclient_secret  ${secret}\n\n${shownOnce}`}`,
  );
}
