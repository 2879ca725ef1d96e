import { integer } from '../settings.ts';

export const sessionSettings = {
  accessTokenSeconds: integer('ACCESS_TOKEN_SECONDS', {
    default: 3_600,
    min: 1,
    max: 86_400,
    help: 'How long an access token is good for.',
  }),
  refreshTokenSeconds: integer('REFRESH_TOKEN_SECONDS', {
    default: 1_209_600,
    min: 1,
    max: 31_536_000,
    help: 'How long a session lives without being refreshed.',
  }),
  sessionSeconds: integer('SESSION_SECONDS', {
    default: 7_776_000,
    min: 1,
    max: 157_680_000,
    help: 'How long a session lives at most, however often it is refreshed.',
  }),
};
