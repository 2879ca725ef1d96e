/**
 * A database of its own for each test that talks SQL: the embedded server is started once per test process, and what is
 * migrated in it already is the template of each database.
 */
import pino from 'pino';
import { connectDatabase, type Database } from '../../src/database/database.ts';
import { type EmbeddedPostgres, openEmbedded } from '../../src/database/embedded.ts';
import { migrate } from '../../src/database/migrate.ts';
import { prepareData } from './prepared-data.ts';
import { removeData } from './start-postern.ts';

let server: Promise<EmbeddedPostgres & { dataDir: string }> | undefined;
let count = 0;
let open = 0;

/** Close it in an `after` hook: the last one closed stops the server. */
export async function testDatabase(): Promise<{ db: Database; url: string; close: () => Promise<void> }> {
  open++;
  server ??= (async () => {
    const dataDir = await prepareData('migrated');
    return { ...(await openEmbedded(dataDir, pino({ level: 'silent' }))), dataDir };
  })();
  const { url: adminUrl, close: stop, dataDir } = await server;
  const name = `test_${process.pid}_${++count}`;
  const urlOf = (database: string) => adminUrl.replace(/\/postgres$/, `/${database}`);
  const admin = connectDatabase(urlOf('template1'), { max: 1, name: 'postern test' });
  await admin.unsafe(`CREATE DATABASE ${name} TEMPLATE postgres`);
  await admin.end();
  const url = urlOf(name);
  const db = connectDatabase(url, { max: 8, name: 'postern test' });
  // Where folders cannot be copied, the template is empty.
  await migrate(db);
  await db`UPDATE installation SET id = gen_random_uuid()`;
  return {
    db,
    url,
    close: async () => {
      await db.end({ timeout: 5 });
      if (--open > 0) return;
      server = undefined;
      await stop();
      await removeData(dataDir);
    },
  };
}
