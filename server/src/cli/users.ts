import { text as readAll } from 'node:stream/consumers';
import type { Config } from '../config.ts';
import { makePasswordHasher } from '../crypto/passwords.ts';
import type { Database } from '../database/database.ts';
import { anonymizeEmails } from '../emails/anonymize.ts';
import { endSessions } from '../sessions/logout.ts';
import { createUser, findUser, listUsers } from '../users/create-user.ts';
import { deleteUser, type EndSessions } from '../users/delete-user.ts';
import { disableUser, enableUser } from '../users/disable-user.ts';
import { makePasswordPolicy } from '../users/password-policy.ts';
import { presentUser, type User } from '../users/user.ts';
import {
  asTable,
  type Command,
  type Input,
  listOption,
  tenantOf,
  textOption,
  UsageError,
  withDatabase,
} from './command.ts';
import { importCommand } from './import-users.ts';
import { revokeBy } from './revoke.ts';

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
      role: { type: 'string', multiple: true, value: 'NAME', help: 'A role to have.' },
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
          const roles = listOption(input, 'role');
          const account = { ...given, tenantId, scopes, roles, isVerified: input.options.verified === true };
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
        const user = await namedUser(input, db);
        await deleteUser({ db, anonymizeEmails, endSessions: endSessionsBy(config) }, user);
        input.print({ uuid: user.id, deleted: true }, `Deleted the user ${user.id}.`);
      }),
  },
  {
    name: 'users disable',
    positionals: 'UUID|EMAIL',
    summary:
      'Keep a user out: sessions, codes and links end within a second, and mail of theirs that waits is canceled.',
    options: { tenant },
    run: (input) =>
      withDatabase(async ({ db, config }) => {
        const user = await disableUser({ db, endSessions: endSessionsBy(config) }, await namedUser(input, db));
        input.print({ uuid: user.id, disabled_at: user.disabledAt }, `Disabled the user ${user.id}.`);
      }),
  },
  {
    name: 'users enable',
    positionals: 'UUID|EMAIL',
    summary: 'Let a disabled user in again.',
    options: { tenant },
    run: (input) =>
      withDatabase(async ({ db }) => {
        const user = await enableUser({ db }, await namedUser(input, db));
        input.print({ uuid: user.id, disabled_at: user.disabledAt }, `Enabled the user ${user.id}.`);
      }),
  },
];

async function givenPassword(input: Input): Promise<string | undefined> {
  if (input.options['password-stdin'] !== true) return textOption(input, 'password');
  return (await readAll(process.stdin)).replace(/\r?\n$/, '');
}

async function namedUser(input: Input, db: Database): Promise<User> {
  const { id: tenantId } = await tenantOf(input, db);
  const named = input.positionals[0] ?? '';
  return findUser(db, tenantId, named.includes('@') ? { email: named } : { id: checkUuid(named) });
}

function endSessionsBy(config: Config): EndSessions {
  return (tx, userId, except) => endSessions({ revocations: { revoke: revokeBy(config) } }, tx, userId, except);
}

function checkUuid(text: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new UsageError(`"${text}" is neither a UUID nor an e-mail address`);
  }
  return text.toLowerCase();
}
