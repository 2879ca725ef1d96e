import { Type } from 'typebox';

/** Of calls that send a letter to an address, whoever has it. */
export const AddressBody = Type.Object(
  { email: Type.String({ maxLength: 320 }), server: Type.Optional(Type.String({ description: 'The tenant' })) },
  { additionalProperties: false },
);

const Nullable = Type.Union([Type.String(), Type.Null()]);

export const Email = Type.String({ maxLength: 320 });
// No control characters: PostgreSQL takes no NUL, and the rest has no place in a name.
export const Name = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' });

/** As callers see it. */
export const UserAnswer = Type.Object({
  uuid: Type.String({ format: 'uuid' }),
  email: Nullable,
  username: Nullable,
  name: Nullable,
  profile_image_url: Nullable,
  email_verified: Type.Boolean(),
  server: Type.String({ description: "The tenant's name" }),
  created_at: Type.String({ format: 'date-time' }),
});

export type UserAnswer = Type.Static<typeof UserAnswer>;
