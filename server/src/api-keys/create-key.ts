import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { type ApiKey, keyScopes, newKey, shownPrefix } from './api-key.ts';
import { keyInvalid } from './errors.ts';
import { insertKey } from './store.ts';

export interface KeyInput {
  tenantId: string;
  name: string;
  scopes: string[];
  /** For ever where not given. */
  expiresInDays?: number;
}

/**
 * Makes a key.
 * @returns with its text, which exists nowhere else: it is shown once
 * @throws keyInvalid
 */
export async function createKey(
  { db, secrets }: { db: Database; secrets: Secrets },
  input: KeyInput,
): Promise<ApiKey & { key: string }> {
  checkInput(input);
  const { tenantId, name, scopes, expiresInDays } = input;
  const key = newKey();
  const made = await db.begin(async (tx) => {
    const row = await insertKey(tx, {
      id: newId(),
      tenantId,
      name,
      prefix: shownPrefix(key),
      secretHash: secrets.hmac('api-key', key),
      scopes: [...new Set(scopes)],
      lifetimeSeconds: expiresInDays === undefined ? null : expiresInDays * 86_400,
    });
    await recordAudit(tx, { tenantId, type: 'api_key.created', data: { key: row.id } });
    return row;
  });
  return { ...made, key };
}

function checkInput({ name, scopes, expiresInDays }: KeyInput): void {
  if (!/^\P{C}{1,128}$/u.test(name) || name.trim() === '') {
    throw keyInvalid({ detail: 'The name of a key has 1 to 128 visible characters.' });
  }
  if (scopes.length === 0) throw keyInvalid({ detail: 'A key needs at least one scope.' });
  for (const scope of scopes) {
    if (!keyScopes.some((known) => known === scope)) {
      throw keyInvalid({ detail: `The scope "${scope}" is not one of: ${keyScopes.join(', ')}.` });
    }
  }
  if (expiresInDays !== undefined && !(expiresInDays > 0 && expiresInDays <= 36_500)) {
    throw keyInvalid({ detail: 'A key expires in more than 0 and at most 36500 days.' });
  }
}
