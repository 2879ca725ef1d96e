import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../test/support/database.ts';
import { waitFor } from '../test/support/wait-for.ts';
import { makeSecrets } from './crypto/secrets.ts';
import { keepHouse } from './housekeeping.ts';
import { keepSigningKeys } from './signing-keys/keep-keys.ts';
import { readKeys } from './signing-keys/store.ts';

it('S28 housekeeping rotates signing keys by the hour, when their days are over', async (test) => {
  const { db, close } = await testDatabase();
  test.after(close);
  const log = pino({ level: 'silent' });
  const world = { db, log, secrets: makeSecrets([randomBytes(32)]), accessTokenSeconds: 3_600, signingKeyDays: 2 };
  await keepSigningKeys(world);
  const [first] = await readKeys(db);
  await db`UPDATE signing_keys SET created_at = now() - interval '1 hour', activated_at = activated_at - interval '3 days'`;
  test.mock.timers.enable({ apis: ['setInterval'] });
  const stop = keepHouse(world);
  test.mock.timers.tick(3_600_000);
  await waitFor(async () => (await readKeys(db)).at(-1)?.state === 'retired', { what: 'the key to be rotated' });
  assert.equal((await readKeys(db)).at(-1)?.kid, first?.kid);
  await stop();
});
