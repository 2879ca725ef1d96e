/** What `oidc-provider` makes of our clients: it refuses metadata that it does not like. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import Provider from 'oidc-provider';
import {
  acrValues,
  type Client,
  type ClientMetadata,
  completeMetadata,
  deviceCodeGrant,
  idTokenAlgs,
  toProviderMetadata,
} from './client.ts';

function client(given: Partial<Client>, metadata: Partial<ClientMetadata> = {}): Client {
  return {
    id: '019a0000-0000-7000-8000-000000000000',
    clientId: 'shop',
    tenantId: '019a0000-0000-7000-8000-000000000001',
    isPublic: metadata.token_endpoint_auth_method === 'none',
    scopes: ['openid', 'email'],
    grants: ['authorization_code', 'refresh_token'],
    redirectUris: ['https://shop.example/cb'],
    metadata: completeMetadata(metadata),
    createdAt: new Date(),
    formerSecretUntil: null,
    ...given,
  };
}

const jwks = { keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] };
const none = { token_endpoint_auth_method: 'none' } as const;
const kinds: Record<string, Client> = {
  'with a secret': client({}),
  'with all that it may say': client(
    {},
    {
      token_endpoint_auth_method: 'client_secret_post',
      client_name: 'Shop',
      client_uri: 'https://shop.example/',
      logo_uri: 'https://shop.example/logo.png',
      policy_uri: 'https://shop.example/policy',
      tos_uri: 'https://shop.example/terms',
      contacts: ['ops@shop.example'],
      post_logout_redirect_uris: ['https://shop.example/'],
      id_token_signed_response_alg: 'ES256',
      default_max_age: 0,
      require_auth_time: true,
      default_acr_values: ['aal2'],
      dpop_bound_access_tokens: true,
      require_pushed_authorization_requests: true,
      software_id: 'shop',
      software_version: '1',
      resources: ['https://api.example/'],
      skip_consent: true,
    },
  ),
  'public, native': client(
    { redirectUris: ['com.example.app:/cb', 'http://127.0.0.1/cb', 'https://app.example/cb'] },
    { ...none, application_type: 'native' },
  ),
  'on loopback in a browser': client({ redirectUris: ['http://localhost:5173/cb'] }, none),
  'with keys': client({}, { token_endpoint_auth_method: 'private_key_jwt', jwks }),
  'with keys elsewhere': client(
    {},
    {
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: 'https://shop.example/jwks',
      token_endpoint_auth_signing_alg: 'ES256',
    },
  ),
  'of a device': client({ grants: [deviceCodeGrant, 'refresh_token'], redirectUris: [] }, none),
  'in its own name': client({ grants: ['client_credentials'], redirectUris: [] }),
};

const signingKeys = [
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('rsa', { modulusLength: 2_048 }),
].map(({ privateKey }) => privateKey.export({ format: 'jwk' }));

describe('clients for oidc-provider', () => {
  const provider = new Provider('http://localhost:3000', {
    scopes: ['openid', 'email', 'offline_access'],
    acrValues: [...acrValues],
    jwks: { keys: signingKeys },
    enabledJWA: { idTokenSigningAlgValues: [...idTokenAlgs] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32) },
      rpInitiatedLogout: { enabled: true },
    },
  });

  for (const [kind, ours] of Object.entries(kinds)) {
    it(`take one ${kind} as it is`, () => {
      const given = toProviderMetadata(ours);
      const Taken = provider.Client as unknown as new (metadata: object) => { metadata: () => Record<string, unknown> };
      const taken = new Taken(given).metadata();
      // It knows no software_id, and takes what it does not know for nothing.
      const { software_id: _, software_version: __, client_secret: secret, ...rest } = given;
      for (const [name, value] of Object.entries(rest)) assert.deepEqual(taken[name], value, name);
      const method = ours.metadata.token_endpoint_auth_method;
      assert.equal(secret, method.startsWith('client_secret') ? 'kept as an HMAC' : undefined);
      for (const own of ['resources', 'skip_consent']) assert.ok(!(own in given), own);
    });
  }
});
