import { type Client, type ClientMetadata, hasSecret, responseTypesOf } from './client.ts';

/** A client as RFC 7591 §3.2.1 writes one down, without its secret. */
export interface ShownClient extends ClientMetadata {
  client_id: string;
  /** Seconds since 1970. */
  client_id_issued_at: number;
  /** Where it has a secret: 0 for never. */
  client_secret_expires_at?: number;
  former_secret_until?: string;
  scope: string;
  grant_types: string[];
  response_types: string[];
  redirect_uris: string[];
}

export function presentClient(client: Client): ShownClient {
  const { formerSecretUntil: until } = client;
  return {
    client_id: client.clientId,
    client_id_issued_at: Math.floor(client.createdAt.getTime() / 1_000),
    ...(hasSecret(client) ? { client_secret_expires_at: 0 } : {}),
    ...(until === null ? {} : { former_secret_until: until.toISOString() }),
    scope: client.scopes.join(' '),
    grant_types: client.grants,
    response_types: responseTypesOf(client.grants),
    redirect_uris: client.redirectUris,
    ...client.metadata,
  };
}
