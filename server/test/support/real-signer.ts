/** Signs tokens as a running Postern would, with its own key: for tokens that no call of the API gives out. */
import pino from 'pino';
import { makeTokenSigner, type TokenSigner } from '../../src/crypto/access-tokens.ts';
import { makeSecrets } from '../../src/crypto/secrets.ts';
import type { Database } from '../../src/database/database.ts';
import { openDatabase } from '../../src/database/open.ts';
import { followSigningKeys } from '../../src/signing-keys/follow-keys.ts';
import type { Postern } from './start-postern.ts';

/** @param postern started with a SECRET_KEY */
export async function realSigner(
  postern: Postern,
): Promise<TokenSigner & { db: Database; publicUrl: string; close: () => Promise<void> }> {
  const log = pino({ level: 'silent' });
  const where = { databaseUrl: undefined, dataDir: postern.dataDir };
  const { db, close } = await openDatabase(where, log, { max: 2, name: 'postern test' });
  const keys = await followSigningKeys({
    db,
    secrets: makeSecrets([Buffer.from(postern.env.SECRET_KEY ?? '', 'base64')]),
    log,
  });
  const publicUrl = postern.env.PUBLIC_URL ?? `http://localhost:${postern.port}`;
  return {
    ...makeTokenSigner({ keys, publicUrl }),
    db,
    publicUrl,
    close: async () => {
      keys.stop();
      await close();
    },
  };
}
