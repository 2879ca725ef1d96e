/** What operators do with clients, by the API and, beside a running server, by the command line. */
import { randomBytes } from 'node:crypto';
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import { checkClient, checkNewClientId, checkResponseTypes, checkSecret, withReadKeys } from './check-client.ts';
import { type Client, type ClientMetadata, completeMetadata, hasSecret, isClientId } from './client.ts';
import { hashSecret, newSecret } from './client-secret.ts';
import { clientExists, clientNotFound } from './errors.ts';
import {
  allClients,
  findStoredClients,
  insertClient,
  lockClient,
  removeClient,
  replaceClient,
  replaceSecret,
} from './store.ts';

interface World {
  db: Database;
  secrets: Secrets;
}

export interface ClientInput {
  /** Random where not given. */
  clientId?: string | undefined;
  /** Random (256 bits) where not given and the client is to have one. */
  secret?: string | undefined;
  tenantId: string;
  scopes: string[];
  /** `client_credentials` where not given, or for a public client, which cannot have that, `authorization_code`. */
  grants?: string[] | undefined;
  redirectUris?: string[] | undefined;
  /** They follow from the grants; where given, they must say the same. */
  responseTypes?: string[] | undefined;
  metadata?: Partial<ClientMetadata>;
  /** Who makes it; absent for the command line. */
  actor?: string;
}

/** What is given replaces what was there; null is as if it had never been said. */
export interface ClientChange {
  scopes?: string[] | undefined;
  grants?: string[] | undefined;
  redirectUris?: string[] | undefined;
  responseTypes?: string[] | undefined;
  metadata?: { [M in keyof ClientMetadata]?: ClientMetadata[M] | null };
}

/** Which client, and who does something about it. */
export interface Named {
  clientId: string;
  /** Whose it must be. Of any tenant where absent: for the command line. */
  tenantId?: string;
  actor?: string;
}

/** A month. */
export const maxOverlapSeconds = 2_592_000;

/** A client and its new secret, if it has got one. It exists nowhere else: it is shown once. */
export interface ClientWithSecret {
  client: Client;
  secret?: string;
}

/** @throws clientExists, clientInvalid */
export async function createClient(world: World, input: ClientInput): Promise<ClientWithSecret> {
  const made = await insertIfAbsent(world, input);
  if (!made) throw clientExists({ detail: `There is a client "${input.clientId}" already.` });
  return made;
}

/** Makes the client of the settings unless there is one of that id; nodes that start together make one. */
export async function bootstrapClient(
  world: World,
  input: { tenantId: string; clientId: string; secret: string; scopes: string[] },
): Promise<boolean> {
  return (await insertIfAbsent(world, input)) !== undefined;
}

/** Of one tenant, or of all. */
export async function listClients({ db }: { db: Database }, tenantId?: string): Promise<Client[]> {
  return allClients(db, tenantId);
}

/** @throws clientNotFound */
export async function readClient({ db }: { db: Database }, named: Named): Promise<Client> {
  const [client] = isClientId(named.clientId) ? await findStoredClients(db, [named.clientId]) : [];
  return ofTenant(client, named);
}

/**
 * Changes what is given; tokens that are out live on to their end. A client that comes to a method with a secret gets
 * one, and one that leaves it has none any more.
 * @throws clientNotFound, clientInvalid
 */
export async function updateClient(
  { db, secrets }: World,
  named: Named,
  change: ClientChange,
): Promise<ClientWithSecret> {
  const { clientId } = named;
  return db.begin(async (tx) => {
    const before = await lockedClient(tx, named);
    const wanted = {
      scopes: once(change.scopes ?? before.scopes),
      grants: once(change.grants ?? before.grants),
      redirectUris: once(change.redirectUris ?? before.redirectUris),
      metadata: changedMetadata(before.metadata, change.metadata),
    };
    checkClient(wanted, before);
    checkResponseTypes(change.responseTypes, wanted.grants);

    const secret = hasSecret(wanted) && !hasSecret(before) ? newSecret() : undefined;
    const isSecretOver = hasSecret(before) && !hasSecret(wanted);
    const client = await replaceClient(tx, before.id, {
      ...wanted,
      ...(secret === undefined ? {} : { secretHash: hashSecret(secrets, clientId, secret) }),
      ...(isSecretOver ? { secretHash: null } : {}),
    });
    await audit(tx, client, 'client.updated', named.actor);
    return { client, ...(secret === undefined ? {} : { secret }) };
  });
}

/**
 * Gives a client another secret; tokens live on to their end. The former one is good for `overlapSeconds` more, so that
 * a program of many nodes can be told one by one, or dead within a second.
 * @throws clientNotFound, clientInvalid
 */
export async function rotateClientSecret(
  { db, secrets }: World,
  named: Named & { secret?: string | undefined; overlapSeconds?: number | undefined },
): Promise<{ clientId: string; secret: string; formerSecretUntil: Date | null }> {
  const { clientId, secret = newSecret(), overlapSeconds = 0 } = named;
  return db.begin(async (tx) => {
    const client = await lockedClient(tx, named);
    checkSecret(secret, client);
    const secretHash = hashSecret(secrets, clientId, secret);
    const formerSecretUntil = await replaceSecret(tx, client.id, { secretHash, overlapSeconds });
    await audit(tx, client, 'client.secret_rotated', named.actor);
    return { clientId, secret, formerSecretUntil };
  });
}

/**
 * Deletes a client; its tokens are dead on every node within a second.
 * @param revoke as of `Revocations`, or `revokeBy` of the command line
 * @throws clientNotFound
 */
export async function deleteClient(
  { db, revoke }: { db: Database; revoke: (tx: Transaction, subjects: string[]) => Promise<() => void> },
  named: Named,
): Promise<void> {
  const announce = await db.begin(async (tx) => {
    const client = await lockedClient(tx, named);
    await removeClient(tx, client.id);
    await audit(tx, client, 'client.deleted', named.actor);
    return revoke(tx, [client.id]);
  });
  announce();
}

async function insertIfAbsent({ db, secrets }: World, input: ClientInput): Promise<ClientWithSecret | undefined> {
  const { clientId = randomBytes(12).toString('hex'), tenantId, actor } = input;
  const metadata = withReadKeys(completeMetadata(input.metadata ?? {}));
  const usual = metadata.token_endpoint_auth_method === 'none' ? 'authorization_code' : 'client_credentials';
  const wanted = {
    scopes: once(input.scopes),
    grants: once(input.grants ?? [usual]),
    redirectUris: once(input.redirectUris ?? []),
    metadata,
  };
  checkNewClientId(clientId);
  checkClient(wanted);
  checkResponseTypes(input.responseTypes, wanted.grants);
  checkSecret(input.secret, wanted);

  const secret = hasSecret(wanted) ? (input.secret ?? newSecret()) : undefined;
  const secretHash = secret === undefined ? null : hashSecret(secrets, clientId, secret);
  const made = await db.begin(async (tx) => {
    const client = await insertClient(tx, { ...wanted, id: newId(), clientId, tenantId, secretHash });
    if (client) await audit(tx, client, 'client.created', actor);
    return { client };
  });
  if (!made.client) return undefined;
  return { client: made.client, ...(secret === undefined ? {} : { secret }) };
}

async function lockedClient(tx: Transaction, named: Named): Promise<Client> {
  return ofTenant(isClientId(named.clientId) ? await lockClient(tx, named.clientId) : undefined, named);
}

/** @throws clientNotFound, in the same words whether there is none or it is another tenant's (S41) */
function ofTenant(client: Client | undefined, { clientId, tenantId }: Named): Client {
  if (client && (tenantId === undefined || client.tenantId === tenantId)) return client;
  throw clientNotFound({ detail: `There is no client "${clientId}".` });
}

function changedMetadata(before: ClientMetadata, change: ClientChange['metadata'] = {}): ClientMetadata {
  const members = Object.entries({ ...before, ...change }).filter(([, value]) => value !== null);
  return withReadKeys(completeMetadata(Object.fromEntries(members) as Partial<ClientMetadata>));
}

async function audit(
  tx: Queryable,
  { tenantId, clientId }: Client,
  type: 'client.created' | 'client.updated' | 'client.secret_rotated' | 'client.deleted',
  actor: string | undefined,
): Promise<void> {
  await recordAudit(tx, { tenantId, type, data: { client: clientId }, ...(actor === undefined ? {} : { actor }) });
}

function once(values: string[]): string[] {
  return [...new Set(values)];
}
