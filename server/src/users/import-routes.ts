/** `POST /users/import`: users from elsewhere, with the hashes of their passwords. */
import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import { callerOf, type Needs } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { importUsers, maxImported } from './import-users.ts';

const text = (maxLength: number) => Type.Optional(Type.String({ maxLength }));

const Imported = Type.Object(
  {
    email: text(320),
    username: text(64),
    name: text(200),
    profile_image_url: text(2048),
    password_hash: Type.Optional(
      Type.String({
        maxLength: 1024,
        description: 'argon2, bcrypt, scrypt or PBKDF2 in one of their usual forms; replaced at the first login',
      }),
    ),
    email_verified: Type.Optional(Type.Boolean()),
    created_at: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339; now if left out' })),
  },
  { additionalProperties: false },
);

const Outcome = Type.Object({
  uuid: Type.Optional(Type.String({ format: 'uuid' })),
  error: Type.Optional(
    Type.Object({ code: Type.String(), title: Type.String(), detail: Type.Optional(Type.String()) }),
  ),
});

export function importRoutes({ db, needs }: { db: Database; needs: Needs }): Routes {
  return (app) => {
    app.post(
      '/users/import',
      {
        onRequest: needs('users:write'),
        bodyLimit: 4 * 2 ** 20,
        schema: {
          tags: ['Users'],
          summary: 'Take over users from elsewhere',
          description:
            'Each is taken or refused on its own; answers come in order. No letter is sent. Who is there already stays as ' +
            'they are (`users.already_registered`), so a call that was interrupted is simply repeated.',
          security: [{ bearer: [] }],
          body: Type.Object(
            { users: Type.Array(Imported, { minItems: 1, maxItems: maxImported }) },
            { additionalProperties: false },
          ),
          response: { 200: Type.Object({ data: Type.Array(Outcome) }) },
        },
      },
      async (request) => {
        const { tenantId, name } = callerOf(request);
        const outcomes = await importUsers(db, tenantId, request.body.users, name);
        return { data: outcomes.map(present) };
      },
    );
  };
}

function present(outcome: { id: string } | PosternError): Type.Static<typeof Outcome> {
  if (!(outcome instanceof PosternError)) return { uuid: outcome.id };
  const { code, title, details } = outcome;
  return { error: { code, title, ...(details.detail === undefined ? {} : { detail: details.detail }) } };
}
