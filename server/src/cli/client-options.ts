/** What `clients create` and `clients update` say of a client, and how it is read. */
import { readFileSync } from 'node:fs';
import { type AuthMethod, authMethods, type ClientMetadata, deviceCodeGrant, idTokenAlgs } from '../oauth/client.ts';
import { readJwks } from '../oauth/jwks.ts';
import type { ClientChange } from '../oauth/manage-clients.ts';
import { type Input, listOption, type Option, textOption, UsageError } from './command.ts';

const list = (value: string, help: string): Option => ({ type: 'string', multiple: true, value, help });
const text = (value: string, help: string): Option => ({ type: 'string', value, help });
const flag = (help: string): Option => ({ type: 'boolean', help });

export const clientOptions: Record<string, Option> = {
  grant: list(
    'GRANT',
    'What it may ask tokens with: authorization_code, refresh_token, client_credentials, device_code.',
  ),
  'redirect-uri': list('URI', 'Where users may be sent back to.'),
  'post-logout-redirect-uri': list('URI', 'Where they may be sent after they have logged out.'),
  name: text('NAME', 'What users are shown.'),
  'auth-method': text('METHOD', `How it proves who it is: ${authMethods.join(', ')}.`),
  jwks: text('FILE', 'Its public keys (JSON), for private_key_jwt.'),
  'jwks-uri': text('URI', 'Where its public keys are.'),
  'id-token-alg': text('ALG', `What its ID tokens are signed with: ${idTokenAlgs.join(' or ')}.`),
  resource: list('URI', 'What it may ask tokens for besides Postern itself.'),
  native: flag('It is installed, so that redirect URIs may have a scheme of its own, with a dot in it.'),
  'skip-consent': flag('It is yours: users are not asked whether it may.'),
  'require-par': flag('It must push its authorization requests.'),
  dpop: flag('Its tokens must be bound to a key (DPoP).'),
};

export const takenBack: Record<string, Option> = {
  'no-native': flag('It is no longer native.'),
  'no-skip-consent': flag('Users are asked again.'),
  'no-require-par': flag('It need not push its requests.'),
  'no-dpop': flag('Its tokens need not be bound.'),
};

type Metadata = NonNullable<ClientChange['metadata']>;

/** What is given. An empty value stands for nothing: null, or no members of a list. */
export function readClientOptions(input: Input): Pick<ClientChange, 'grants' | 'redirectUris' | 'metadata'> {
  return {
    grants: listed(input, 'grant')?.map((grant) => (grant === 'device_code' ? deviceCodeGrant : grant)),
    redirectUris: listed(input, 'redirect-uri'),
    metadata: defined({
      client_name: textOrNull(input, 'name'),
      token_endpoint_auth_method: oneOf<AuthMethod>(input, 'auth-method', authMethods),
      jwks: jwksIn(textOrNull(input, 'jwks')),
      jwks_uri: textOrNull(input, 'jwks-uri'),
      id_token_signed_response_alg: oneOf(input, 'id-token-alg', idTokenAlgs),
      post_logout_redirect_uris: listed(input, 'post-logout-redirect-uri'),
      resources: listed(input, 'resource'),
      application_type: switched(input, 'native', 'native', null),
      skip_consent: switched(input, 'skip-consent', true, null),
      require_pushed_authorization_requests: switched(input, 'require-par', true, null),
      dpop_bound_access_tokens: switched(input, 'dpop', true, null),
    }),
  };
}

/** Of a new one: what is left out and what is nothing are the same. */
export function ofNewClient(metadata: ClientChange['metadata'] = {}): Partial<ClientMetadata> {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null));
}

function defined(values: { [M in keyof Metadata]: Metadata[M] | undefined }): Metadata {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function textOrNull(input: Input, name: string): string | null | undefined {
  const given = textOption(input, name);
  return given === '' ? null : given;
}

function listed(input: Input, name: string): string[] | undefined {
  const given = listOption(input, name);
  return given.length === 0 ? undefined : given.filter((value) => value !== '');
}

function switched<T>(input: Input, name: string, on: T, off: null): T | null | undefined {
  if (input.options[name] === true && input.options[`no-${name}`] === true) {
    throw new UsageError(`--${name} and --no-${name} cannot both be`);
  }
  if (input.options[name] === true) return on;
  return input.options[`no-${name}`] === true ? off : undefined;
}

function oneOf<T extends string>(input: Input, name: string, values: readonly T[]): T | null | undefined {
  const given = textOrNull(input, name);
  if (given === null || given === undefined) return given;
  const found = values.find((value) => value === given);
  if (found === undefined) throw new UsageError(`--${name} must be one of: ${values.join(', ')}`);
  return found;
}

function jwksIn(file: string | null | undefined) {
  if (file === null || file === undefined) return file;
  try {
    return readJwks(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new UsageError(`--jwks ${file}: ${error instanceof Error ? error.message : error}`);
  }
}
