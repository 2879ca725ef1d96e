/** What an operator does with clients; the command line calls these beside a running server. */
import { randomBytes } from 'node:crypto';
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import { type Client, checkClientId, parseScope, supportedGrants } from './client.ts';
import { clientExists, clientInvalid, clientNotFound } from './errors.ts';
import { allClients, findStoredClient, insertClient, removeClient, replaceSecret } from './store.ts';

interface World {
  db: Database;
  secrets: Secrets;
}

export interface ClientInput {
  /** Random where not given. */
  clientId?: string;
  /** Random (256 bits) where not given. */
  secret?: string;
  /** A client that can keep no secret: it has none. */
  public?: boolean;
  tenantId: string;
  scopes: string[];
  /** `client_credentials` where not given. */
  grants?: string[];
  redirectUris?: string[];
}

/** The secret exists nowhere else: it is shown once. */
export interface ClientSecret {
  clientId: string;
  secret?: string;
}

/** @throws clientExists, clientInvalid */
export async function createClient(world: World, input: ClientInput): Promise<ClientSecret> {
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

/**
 * Gives a client another secret; the former one is dead within a second, tokens live on to their end.
 * @throws clientNotFound, clientInvalid
 */
export async function rotateClientSecret(
  { db, secrets }: World,
  { clientId, secret = newSecret() }: { clientId: string; secret?: string },
): Promise<ClientSecret> {
  checkSecret(secret);
  await db.begin(async (tx) => {
    const client = await existingClient(tx, clientId);
    if (client.isPublic) throw clientInvalid({ detail: 'A public client has no secret.' });
    await replaceSecret(tx, client.id, hashSecret(secrets, clientId, secret));
    await recordAudit(tx, { tenantId: client.tenantId, type: 'client.secret_rotated', data: { client: clientId } });
  });
  return { clientId, secret };
}

/**
 * Deletes a client; its tokens are dead on every node within a second.
 * @param revoke as of `Revocations.revoke` or `insertRevocations`
 * @throws clientNotFound
 */
export async function deleteClient(
  { db, revoke }: { db: Database; revoke: (tx: Transaction, subjects: string[]) => Promise<unknown> },
  clientId: string,
): Promise<void> {
  await db.begin(async (tx) => {
    const client = await existingClient(tx, clientId);
    await removeClient(tx, client.id);
    await revoke(tx, [client.id]);
    await recordAudit(tx, { tenantId: client.tenantId, type: 'client.deleted', data: { client: clientId } });
  });
}

/**
 * What is stored of a secret. Given ones may be weak, so it is an HMAC: without SECRET_KEY a dump gives nothing to guess
 * against, and no slow hash stands on the way of machines.
 */
export function hashSecret(secrets: Secrets, clientId: string, secret: string): Buffer {
  return secrets.hmac('client-secret', secretText(clientId, secret));
}

export function secretText(clientId: string, secret: string): string {
  return `${clientId}:${secret}`;
}

async function insertIfAbsent({ db, secrets }: World, input: ClientInput): Promise<ClientSecret | undefined> {
  const clientId = input.clientId ?? randomBytes(12).toString('hex');
  const secret = input.public ? undefined : (input.secret ?? newSecret());
  const grants = input.grants ?? ['client_credentials'];
  checkInput(clientId, secret, { ...input, grants });
  const inserted = await db.begin(async (tx) => {
    const { tenantId, scopes, redirectUris = [] } = input;
    const secretHash = secret === undefined ? null : hashSecret(secrets, clientId, secret);
    const client = { id: newId(), clientId, tenantId, secretHash, scopes, grants, redirectUris };
    if (!(await insertClient(tx, client))) return false;
    await recordAudit(tx, { tenantId, type: 'client.created', data: { client: clientId } });
    return true;
  });
  if (!inserted) return undefined;
  return { clientId, ...(secret === undefined ? {} : { secret }) };
}

async function existingClient(tx: Transaction, clientId: string): Promise<Client> {
  const client = await findStoredClient(tx, clientId);
  if (!client) throw clientNotFound({ detail: `There is no client "${clientId}".` });
  return client;
}

function checkInput(clientId: string, secret: string | undefined, input: ClientInput & { grants: string[] }): void {
  try {
    checkClientId(clientId);
  } catch (error) {
    throw clientInvalid({ detail: `The client id ${error instanceof Error ? error.message : error}.` });
  }
  if (input.public && input.secret !== undefined) throw clientInvalid({ detail: 'A public client has no secret.' });
  if (secret !== undefined) checkSecret(secret);
  if (input.scopes.length === 0) throw clientInvalid({ detail: 'A client needs at least one scope.' });
  if (!input.scopes.every((scope) => parseScope(scope)?.length === 1)) {
    throw clientInvalid({
      detail: 'A scope has printable ASCII characters only, without spaces, quotes and backslashes.',
    });
  }
  for (const grant of input.grants) {
    if (!supportedGrants.some((known) => known === grant)) {
      throw clientInvalid({ detail: `The grant "${grant}" is not one of: ${supportedGrants.join(', ')}.` });
    }
  }
  for (const uri of input.redirectUris ?? []) {
    if (!URL.canParse(uri) || uri.includes('#')) {
      throw clientInvalid({ detail: `"${uri}" is not an absolute URI without a fragment.` });
    }
  }
}

function checkSecret(secret: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  if (secret.length < 1 || secret.length > 1024 || /[\u0000-\u001f\u007f]/.test(secret)) {
    throw clientInvalid({ detail: 'A secret has 1 to 1024 characters and no control characters.' });
  }
}

function newSecret(): string {
  return randomBytes(32).toString('base64url');
}
