/**
 * What `oidc-provider` keeps, kept in PostgreSQL. Clients and grants are rows of their own; refresh tokens are arithmetic
 * over a grant (`oauth/grants.ts`); access tokens are JWTs and kept nowhere; whatever else waits between two requests is an
 * artifact. Sessions are not here: they are ours (`session.ts`).
 */
import Provider, { type Adapter, type AdapterPayload, errors, type Grant } from 'oidc-provider';
import type { Secrets } from '../../crypto/secrets.ts';
import { isUnavailable, type Queryable } from '../../database/database.ts';
import {
  consumeArtifact,
  findArtifact,
  findByUserCode,
  type NewArtifact,
  removeArtifact,
  type StoredArtifact,
  writtenArtifact,
} from '../artifact-store.ts';
import { toProviderMetadata } from '../client.ts';
import type { ClientDirectory } from '../find-client.ts';
import { findLiveGrant, type Granted } from '../grant-store.ts';
import {
  advanceRefreshToken,
  type GrantWorld,
  keepRefreshToken,
  makeGrant,
  readGrantToken,
  refreshTokenPayload,
  revokeGrant,
} from '../grants.ts';
import type { StoredClient } from '../store.ts';

export interface StorageWorld extends GrantWorld, ClientDirectory {}

export function makeStorage(world: StorageWorld): (model: string) => Adapter {
  return (model) => told(storageFor(world, model));
}

type Kept = Partial<Adapter>;

const userCodePurpose = 'oauth user code';

function storageFor(world: StorageWorld, model: string): Kept {
  switch (model) {
    case 'Client':
      return { find: async (id) => asMetadata(await world.findClient(id)) };
    case 'Grant':
      return grantStorage(world);
    case 'RefreshToken':
      return refreshTokenStorage(world);
    case 'AuthorizationCode':
    case 'DeviceCode':
      return { ...artifactStorage(world, model), ...codeStorage(world, model) };
    case 'Interaction':
      return interactionStorage(world);
    case 'PushedAuthorizationRequest':
      return artifactStorage(world, model);
    default:
      // Access tokens end with their grant.
      return { revokeByGrantId: async () => {} };
  }
}

function asMetadata(client: StoredClient | undefined): AdapterPayload | undefined {
  return client && (toProviderMetadata(client) as AdapterPayload);
}

function grantStorage(world: StorageWorld): Kept {
  return {
    find: async (id) => {
      const grant = isUuid(id) ? await findLiveGrant(world.db, id) : undefined;
      return (
        grant && {
          ...grant.granted,
          jti: grant.id,
          kind: 'Grant',
          accountId: grant.userId,
          clientId: grant.clientId,
          iat: Math.floor(grant.createdAt),
          exp: Math.floor(grant.expiresAt),
        }
      );
    },
    destroy: (id) => revokeGrant(world, id, 'reuse'),
  };
}

function refreshTokenStorage(world: StorageWorld): Kept {
  return {
    find: async (token) => {
      const named = readGrantToken(world.secrets, token);
      const grant = named && (await findLiveGrant(world.db, named.id));
      return grant && refreshTokenPayload(world, grant, token, named.counter);
    },
    upsert: (token, payload) => keepRefreshToken(world, token, payload),
    consume: async (token) => {
      if (!(await advanceRefreshToken(world, token))) throw new errors.InvalidGrant('refresh token already used');
    },
    // With the grant, whose family it is.
    destroy: async () => {},
    revokeByGrantId: async () => {},
  };
}

const purposeOf = (kind: string) => `oauth ${kind}`;

function asArtifact(secrets: Secrets, kind: string, id: string, payload: AdapterPayload, seconds = 60): NewArtifact {
  const { userCode } = payload;
  return {
    kind,
    idHash: secrets.hmac(purposeOf(kind), id),
    payload: secrets.seal(purposeOf(kind), JSON.stringify(payload)),
    userCodeHash: userCode === undefined ? null : secrets.hmac(userCodePurpose, userCode),
    seconds: Math.max(1, seconds),
  };
}

function artifactStorage({ db, secrets }: { db: Queryable; secrets: Secrets }, kind: string): Kept {
  const purpose = purposeOf(kind);
  const hashes = (id: string) => secrets.hmacs(purpose, id);
  const open = ({ payload, consumedAt, secondsLeft }: StoredArtifact): AdapterPayload => ({
    ...JSON.parse(secrets.open(purpose, payload).toString('utf8')),
    // When it ends says the database, whatever the clocks of the nodes that made it and that read it.
    exp: Math.floor(Date.now() / 1_000 + secondsLeft),
    ...(consumedAt !== null && { consumed: consumedAt }),
  });
  return {
    upsert: async (id, payload, seconds) => {
      await writtenArtifact(db, asArtifact(secrets, kind, id, payload, seconds));
    },
    find: async (id) => {
      const stored = await findArtifact(db, kind, hashes(id));
      return stored && open(stored);
    },
    findByUserCode: async (userCode) => {
      const stored = await findByUserCode(db, secrets.hmacs(userCodePurpose, userCode));
      return stored && open(stored);
    },
    consume: async (id) => {
      if (!(await consumeArtifact(db, kind, hashes(id)))) throw new errors.InvalidRequest('it was used before');
    },
    destroy: (id) => removeArtifact(db, kind, hashes(id)),
    revokeByGrantId: async () => {},
  };
}

/** Who was signed in as it began is nobody's business later: whoever signs in meanwhile goes on with it, in this browser. */
function interactionStorage(world: StorageWorld): Kept {
  const artifacts = artifactStorage(world, 'Interaction');
  return {
    ...artifacts,
    upsert: async (id, { session: _, ...payload }, seconds) => artifacts.upsert?.(id, payload, seconds),
  };
}

/** A code that users stand behind: their grant is written with it, and ends where it comes back (RFC 6749 §4.1.2). */
function codeStorage(world: StorageWorld, kind: 'AuthorizationCode' | 'DeviceCode'): Kept {
  const artifacts = artifactStorage(world, kind);
  return {
    upsert: async (id, payload, seconds) => {
      const grant = Provider.ctx?.oidc.entities.Grant;
      if (payload.grantId === undefined || grant?.jti !== payload.grantId)
        return artifacts.upsert?.(id, payload, seconds);
      const client = await world.findClient(String(payload.clientId));
      if (!client) throw new errors.InvalidClient('client is invalid', 'client not found');
      const made = {
        id: String(payload.grantId),
        userId: String(payload.accountId),
        client,
        scopes: String(payload.scope ?? '').split(' '),
        sessionId: payload.sessionUid,
        granted: grantedOf(grant),
      };
      await makeGrant(world, made, asArtifact(world.secrets, kind, id, payload, seconds));
    },
    find: async (id) => {
      const code = await artifacts.find?.(id);
      // The library asks first whether a code is over, and would let what came of it live.
      const isReused = code?.consumed !== undefined && Number(code.exp) <= Date.now() / 1_000;
      if (isReused && code.grantId !== undefined) await revokeGrant(world, code.grantId, 'reuse');
      return code;
    },
    consume: async (id) => {
      try {
        await artifacts.consume?.(id);
      } catch (error) {
        if (!(error instanceof errors.InvalidRequest)) throw error;
        const { grantId } = (await artifacts.find?.(id)) ?? {};
        if (grantId !== undefined) await revokeGrant(world, grantId, 'reuse');
        throw new errors.InvalidGrant('the code was used before');
      }
    },
  };
}

function grantedOf({ openid, resources }: Grant): Granted {
  return { ...(openid && { openid }), ...(resources && { resources }) };
}

/** A database that is away is said to be so: the caller may come back. */
function told(kept: Kept): Adapter {
  const nothing = async () => undefined;
  const all: Adapter = {
    upsert: () => Promise.reject(new Error('This is kept elsewhere.')),
    find: nothing,
    findByUserCode: nothing,
    findByUid: nothing,
    consume: () => Promise.reject(new Error('This cannot be used up.')),
    destroy: nothing,
    revokeByGrantId: nothing,
    ...kept,
  };
  const entries = Object.entries(all).map(([name, work]) => [
    name,
    (...given: never[]) =>
      (work as (...given: never[]) => Promise<unknown>)(...given).catch((cause: unknown) => {
        if (!isUnavailable(cause)) throw cause;
        throw new Unavailable(cause);
      }),
  ]);
  return Object.fromEntries(entries) as unknown as Adapter;
}

/** RFC 6749 §4.1.2.1, and with a status for calls that are answered directly. */
export class Unavailable extends errors.OIDCProviderError {
  constructor(cause: unknown) {
    super(503, 'temporarily_unavailable', { cause });
    this.error_description = 'the database does not answer; try again in a moment';
    this.expose = true;
  }
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
