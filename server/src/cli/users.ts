import { text as readAll } from 'node:stream/consumers';
import { makePasswordHasher } from '../crypto/passwords.ts';
import { anonymizeEmails } from '../emails/anonymize.ts';
import { endSessions } from '../sessions/logout.ts';
import { revocationSeconds } from '../sessions/revocations.ts';
import { insertRevocations } from '../sessions/store.ts';
import { createUser, findUser, listUsers } from '../users/create-user.ts';
import { deleteUser } from '../users/delete-user.ts';
import { makePasswordPolicy } from '../users/password-policy.ts';
import { presentUser } from '../users/user.ts';
import { asTable, type Command, type Input, tenantOf, textOption, UsageError, withDatabase } from './command.ts';
import { importCommand } from './import-users.ts';

const tenant = { type: 'string', value: 'SLUG', help: 'The tenant; default if left out.' } as const;

export const userCommands: Command[] = [
  importCommand,
  {
    name: 'users create',
    summary: 'Make a user. No letter is sent.',
    options: {
      email: { type: 'string', value: 'ADDRESS', help: 'E-mail address.' },
      username: { type: 'string', value: 'NAME', help: 'Username. One of the two is needed.' },
      name: { type: 'string', help: 'Display name.' },
      password: { type: 'string', help: 'Password. Others may see it in the process list: prefer --password-stdin.' },
      'password-stdin': { type: 'boolean', help: 'Read the password from standard input.' },
      verified: { type: 'boolean', help: 'Take the e-mail address as verified.' },
      admin: { type: 'boolean', help: 'Give every right (scope admin).' },
      tenant,
    },
    run: async (input) => {
      const password = await givenPassword(input);
      const fields = {
        email: textOption(input, 'email'),
        username: textOption(input, 'username'),
        name: textOption(input, 'name'),
        password,
      };
      if (fields.email === undefined && fields.username === undefined)
        throw new UsageError('--email or --username is needed');
      const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
      await withDatabase(async ({ db, config, log }) => {
        const { id: tenantId, slug } = await tenantOf(input, db);
        const passwords = makePasswordHasher({ threads: 1 });
        try {
          const scopes = input.options.admin === true ? ['admin'] : [];
          const account = { ...given, tenantId, scopes, isVerified: input.options.verified === true };
          const passwordPolicy = makePasswordPolicy({ ...config, log });
          const user = presentUser(await createUser({ db, passwords, passwordPolicy }, account), slug);
          input.print(user, `Made the user ${user.uuid}.`);
        } finally {
          await passwords.close();
        }
      });
    },
  },
  {
    name: 'users list',
    summary: 'List the users of a tenant, newest first.',
    options: {
      tenant,
      limit: { type: 'string', value: 'N', help: 'How many at most; 100 if left out.' },
      after: { type: 'string', value: 'UUID', help: 'Go on after this user.' },
    },
    run: (input) =>
      withDatabase(async ({ db }) => {
        const { id: tenantId, slug } = await tenantOf(input, db);
        const limit = Number(textOption(input, 'limit') ?? 100);
        if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) throw new UsageError('--limit must be 1 to 10000');
        const after = textOption(input, 'after');
        const page = await listUsers(db, tenantId, { limit, ...(after === undefined ? {} : { after }) });
        const users = page.users.map((user) => presentUser(user, slug));
        const rows = users.map(({ uuid, email, username, email_verified, created_at }) => ({
          uuid,
          email,
          username,
          verified: email_verified ? 'yes' : 'no',
          created_at,
        }));
        const more = page.hasMore ? `\n\nThere are more: --after ${users.at(-1)?.uuid}` : '';
        input.print({ data: users, has_more: page.hasMore }, asTable(rows) + more);
      }),
  },
  {
    name: 'users delete',
    positionals: 'UUID|EMAIL',
    summary: 'Delete a user, with sessions and codes; mail history is anonymised.',
    options: { tenant },
    run: (input) =>
      withDatabase(async ({ db, config }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const named = input.positionals[0] ?? '';
        const user = await findUser(db, tenantId, named.includes('@') ? { email: named } : { id: checkUuid(named) });
        const seconds = revocationSeconds(config.accessTokenSeconds);
        const revocations = {
          revoke: async (...[tx, subjects]: Parameters<Parameters<typeof endSessions>[0]['revocations']['revoke']>) => {
            await insertRevocations(tx, subjects, seconds);
            return () => {};
          },
        };
        await deleteUser({ db, anonymizeEmails, endSessions: (tx, id) => endSessions({ revocations }, tx, id) }, user);
        input.print({ uuid: user.id, deleted: true }, `Deleted the user ${user.id}.`);
      }),
  },
];

async function givenPassword(input: Input): Promise<string | undefined> {
  if (input.options['password-stdin'] !== true) return textOption(input, 'password');
  return (await readAll(process.stdin)).replace(/\r?\n$/, '');
}

function checkUuid(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new UsageError(`"${text}" is neither a UUID nor an e-mail address`);
  }
  return text.toLowerCase();
}
