/** The shapes of the calls about clients, by the names of RFC 7591: validation, types and OpenAPI in one. */
import type { JSONWebKeySet } from 'jose';
import { type TSchema, Type } from 'typebox';
import { publicKeyAlgorithms } from '../crypto/algorithms.ts';
import { type AuthMethod, acrValues, authMethods, type Grant, idTokenAlgs, supportedGrants } from './client.ts';
import { type ClientChange, maxOverlapSeconds } from './manage-clients.ts';

const closed = { additionalProperties: false } as const;
const oneOf = <T extends string>(values: readonly T[], description: string, more: object = {}) =>
  Type.Unsafe<T>({ type: 'string', enum: [...values], description, ...more });
const text = (description: string) => Type.String({ minLength: 1, maxLength: 200, description });
const uri = (description: string) => Type.String({ maxLength: 2_000, description });
const uris = (description: string) => Type.Array(Type.String({ maxLength: 2_000 }), { maxItems: 50, description });

const metadata = {
  token_endpoint_auth_method: oneOf<AuthMethod>(
    authMethods,
    'How it proves who it is. `none` for one that can keep no secret, `private_key_jwt` for one with keys of its own; ' +
      'the other two mean the same here: a secret, by HTTP Basic or in the body',
    { default: 'client_secret_basic' },
  ),
  application_type: oneOf(
    ['web', 'native'],
    '`native` for one that is installed, whose redirect URIs may have a private-use scheme',
    { default: 'web' },
  ),
  client_name: text('What people are shown'),
  client_uri: uri('Its home page'),
  logo_uri: uri('Its logo'),
  policy_uri: uri('How it handles data'),
  tos_uri: uri('Its terms'),
  contacts: Type.Array(Type.String({ maxLength: 320 }), { maxItems: 20, description: 'E-mail addresses' }),
  token_endpoint_auth_signing_alg: oneOf(publicKeyAlgorithms, 'The one algorithm of its assertions; else any of these'),
  jwks: Type.Unsafe<JSONWebKeySet>({
    type: 'object',
    description: 'Its public keys; of each are kept the key, `kid`, `use` and `alg`. Not beside `jwks_uri`',
    properties: {
      keys: { type: 'array', minItems: 1, maxItems: 20, items: { type: 'object', additionalProperties: true } },
    },
    required: ['keys'],
    additionalProperties: false,
  }),
  jwks_uri: uri('Where its public keys are'),
  post_logout_redirect_uris: uris('Where people may be sent after they have logged out'),
  id_token_signed_response_alg: oneOf(idTokenAlgs, 'What its ID tokens are signed with'),
  default_max_age: Type.Integer({
    minimum: 0,
    maximum: 2_147_483_647,
    description: 'Seconds after which people must authenticate anew',
  }),
  require_auth_time: Type.Boolean({ description: 'ID tokens say when that was' }),
  default_acr_values: Type.Array(oneOf(acrValues, 'One factor, or two'), {
    maxItems: acrValues.length,
    description: 'The levels it asks for where it does not say',
  }),
  dpop_bound_access_tokens: Type.Boolean({ description: 'It asks tokens with a proof of possession alone (RFC 9449)' }),
  require_pushed_authorization_requests: Type.Boolean({ description: 'It pushes its requests first (RFC 9126)' }),
  software_id: text('Which program it is'),
  software_version: text('Which version of that'),
  resources: uris('What it may ask tokens for besides Postern itself: absolute URIs (RFC 8707)'),
  skip_consent: Type.Boolean({
    default: false,
    description: "The operator's own application: people are not asked whether it may",
  }),
};

const optionalMetadata = Type.Partial(Type.Object(metadata)).properties;
const nullableMetadata: Record<string, TSchema> = Object.fromEntries(
  Object.entries(metadata).map(([name, schema]) => [name, Type.Optional(Type.Union([schema, Type.Null()]))]),
);

const shared = {
  scope: Type.String({ maxLength: 8_000, description: 'All it may ask for, separated by spaces' }),
  grant_types: Type.Array(oneOf<Grant>(supportedGrants, 'A grant'), { minItems: 1, maxItems: 20 }),
  redirect_uris: uris(
    'Where people may be sent back to, compared exactly: https, http on localhost, 127.0.0.1 and [::1], or, with ' +
      '`application_type` `native`, a private-use scheme with a dot in it (RFC 8252)',
  ),
  response_types: Type.Array(Type.Literal('code'), {
    maxItems: 1,
    description: 'Follows from the grants; where given, it must agree with them',
  }),
};

export const NewClientBody = Type.Object(
  {
    client_id: Type.Optional(Type.String({ maxLength: 128, description: 'Random where not given' })),
    scope: shared.scope,
    grant_types: Type.Optional(
      Type.Unsafe<Grant[]>({
        ...shared.grant_types,
        description:
          '`client_credentials` where not given, or `authorization_code` with `token_endpoint_auth_method` `none`',
      }),
    ),
    redirect_uris: Type.Optional(shared.redirect_uris),
    response_types: Type.Optional(shared.response_types),
    ...optionalMetadata,
  },
  closed,
);

type ClientPatchBody = NonNullable<ClientChange['metadata']> & {
  scope?: string;
  grant_types?: Grant[];
  redirect_uris?: string[] | null;
  response_types?: 'code'[];
};
export const ClientPatch = Type.Unsafe<ClientPatchBody>(
  Type.Object(
    {
      scope: Type.Optional(shared.scope),
      grant_types: Type.Optional(shared.grant_types),
      redirect_uris: Type.Optional(Type.Union([shared.redirect_uris, Type.Null()])),
      response_types: Type.Optional(shared.response_types),
      ...nullableMetadata,
    },
    { ...closed, minProperties: 1 },
  ),
);

const answer = {
  client_id: Type.String(),
  client_id_issued_at: Type.Integer({ description: 'Seconds since 1970' }),
  client_secret_expires_at: Type.Optional(Type.Integer({ description: '0: never. Absent where it has no secret' })),
  former_secret_until: Type.Optional(
    Type.String({ format: 'date-time', description: 'Until when the secret before the last rotation is good too' }),
  ),
  ...shared,
  // Those stored may have grants of a version that knew others.
  grant_types: Type.Array(Type.String()),
  response_types: Type.Array(Type.String()),
  ...optionalMetadata,
};
export const ClientAnswer = Type.Object(answer);
export const ClientWithSecretAnswer = Type.Object({
  ...answer,
  client_secret: Type.Optional(Type.String({ description: 'Shown here and never again' })),
});

export const RotateBody = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: maxOverlapSeconds,
        default: 0,
        description: 'How long the secret so far is good beside the new one',
      }),
    ),
  },
  closed,
);
export const RotateAnswer = Type.Object({
  client_id: Type.String(),
  client_secret: Type.String({ description: 'Shown here and never again' }),
  former_secret_until: Type.Optional(Type.String({ format: 'date-time' })),
});

export const ById = Type.Object({ client_id: Type.String() });
export const ListQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$', description: 'The last `client_id` of the page before' }),
    ),
  },
  closed,
);
