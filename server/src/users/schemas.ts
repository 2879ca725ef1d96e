import { Type } from 'typebox';

const Nullable = Type.Union([Type.String(), Type.Null()]);

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
