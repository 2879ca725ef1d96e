/** The rules for what a client may be, whoever makes or changes it. */
import {
  type ClientMetadata,
  checkClientId,
  hasSecret,
  parseScope,
  responseTypesOf,
  supportedGrants,
} from './client.ts';
import { clientInvalid } from './errors.ts';
import { readJwks } from './jwks.ts';
import { redirectUriFault, resourceFault, webUriFault } from './uris.ts';

export interface ClientDescription {
  scopes: string[];
  grants: string[];
  redirectUris: string[];
  metadata: ClientMetadata;
}

/**
 * @param before what it was, where it is changed: redirect URIs that it has already are not judged anew
 * @throws clientInvalid, with the member at fault by the name it has in RFC 7591
 */
export function checkClient(client: ClientDescription, before?: ClientDescription): void {
  const { metadata } = client;
  checkScopes(client.scopes);
  checkGrants(client);
  checkRedirectUris(client, before);
  checkAuthentication(metadata);
  for (const member of ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri'] as const) {
    const uri = metadata[member];
    if (uri !== undefined) refuse(member, webUriFault(uri, { isFetched: false }));
  }
  for (const uri of metadata.resources) refuse('resources', resourceFault(uri), uri);
  for (const member of ['client_name', 'software_id', 'software_version'] as const) {
    const text = metadata[member];
    if (text !== undefined) refuse(member, textFault(text));
  }
  for (const contact of metadata.contacts ?? []) {
    const isAddress = /^[\w.!#$%&'*+/=?^`{|}~-]+@[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(contact);
    refuse('contacts', isAddress ? undefined : 'must be an e-mail address', contact);
  }
}

/** @throws clientInvalid where they say something else than the grants do */
export function checkResponseTypes(responseTypes: string[] | undefined, grants: string[]): void {
  const wanted = responseTypesOf(grants);
  if (responseTypes === undefined || [...new Set(responseTypes)].join() === wanted.join()) return;
  refuse('response_types', `must be ${JSON.stringify(wanted)} with these grant_types`);
}

function checkScopes(scopes: string[]): void {
  if (scopes.length === 0) refuse('scope', 'must name at least one');
  if (scopes.every((scope) => parseScope(scope)?.length === 1)) return;
  refuse('scope', 'must have printable ASCII characters only, without quotes and backslashes');
}

function checkGrants({ grants, redirectUris, metadata }: ClientDescription): void {
  if (grants.length === 0) refuse('grant_types', 'must name at least one');
  for (const grant of grants) {
    const isKnown = supportedGrants.some((known) => known === grant);
    refuse('grant_types', isKnown ? undefined : `must be of: ${supportedGrants.join(', ')}`, grant);
  }
  if (metadata.token_endpoint_auth_method === 'none' && grants.includes('client_credentials')) {
    refuse('grant_types', 'must be without client_credentials where the client proves nothing: it is public');
  }
  if (grants.includes('authorization_code') && redirectUris.length === 0) {
    refuse('redirect_uris', 'must name at least one for the grant authorization_code');
  }
}

function checkRedirectUris({ redirectUris, metadata }: ClientDescription, before: ClientDescription | undefined): void {
  const { application_type: type, post_logout_redirect_uris: afterLogout = [] } = metadata;
  const former = before?.metadata.application_type === type ? before : undefined;
  for (const uri of redirectUris) {
    if (!former?.redirectUris.includes(uri)) refuse('redirect_uris', redirectUriFault(uri, type), uri);
  }
  for (const uri of afterLogout) refuse('post_logout_redirect_uris', redirectUriFault(uri, type), uri);
}

function checkAuthentication(metadata: ClientMetadata): void {
  const { token_endpoint_auth_method: method, token_endpoint_auth_signing_alg: alg, jwks, jwks_uri: uri } = metadata;
  if (jwks !== undefined && uri !== undefined) refuse('jwks', 'must not stand beside jwks_uri');
  if (method === 'private_key_jwt' && jwks === undefined && uri === undefined) {
    refuse('token_endpoint_auth_method', 'needs jwks or jwks_uri to be private_key_jwt');
  }
  if (alg !== undefined && method !== 'private_key_jwt') {
    refuse('token_endpoint_auth_signing_alg', 'is for the method private_key_jwt alone');
  }
  if (uri !== undefined) refuse('jwks_uri', webUriFault(uri, { isFetched: true }));
}

/**
 * With the public keys as they are kept.
 * @throws clientInvalid
 */
export function withReadKeys(metadata: ClientMetadata): ClientMetadata {
  if (metadata.jwks === undefined) return metadata;
  try {
    return { ...metadata, jwks: readJwks(metadata.jwks) };
  } catch (error) {
    throw refusal('jwks', error instanceof Error ? error.message : String(error));
  }
}

/** @throws clientInvalid */
export function checkNewClientId(clientId: string): void {
  try {
    checkClientId(clientId);
  } catch (error) {
    refuse('client_id', error instanceof Error ? error.message : String(error));
  }
}

/** @throws clientInvalid where there is a secret that is not to be, or one that cannot be */
export function checkSecret(secret: string | undefined, client: { metadata: ClientMetadata }): void {
  if (secret === undefined) return;
  if (!hasSecret(client)) {
    const { token_endpoint_auth_method: method } = client.metadata;
    refuse('client_secret', `must not be: a client of the method ${method} has none`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (secret.length < 1 || secret.length > 1024 || /[\u0000-\u001f\u007f]/.test(secret)) {
    refuse('client_secret', 'must have 1 to 1024 characters and no control characters');
  }
}

/** People read it on the page that asks for their consent, so that it has nothing that turns or hides letters. */
function textFault(text: string): string | undefined {
  const isGood = /^\P{C}{1,200}$/u.test(text) && text.trim() !== '';
  return isGood ? undefined : 'must have 1 to 200 visible characters';
}

function refuse(path: string, fault: string | undefined, value?: string): void {
  if (fault === undefined) return;
  throw refusal(path, value === undefined ? fault : `${fault}: ${JSON.stringify(value)}`);
}

function refusal(path: string, message: string) {
  return clientInvalid({ detail: `${path} ${message}.`, errors: [{ path, message }] });
}
