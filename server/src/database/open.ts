import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { connectDatabase, type Database, isUnavailable } from './database.ts';
import { openEmbedded } from './embedded.ts';

export interface OpenDatabase {
  db: Database;
  /** For further pools on the same server (worker threads). A secret. */
  url: string;
  /** For the banner: where the data is, without credentials. */
  where: string;
  close: () => Promise<void>;
}

/**
 * Opens the database of DATABASE_URL, waiting a minute for one that is still starting (unless `wait` is false), or the
 * embedded one.
 * @throws Error that says which database could not be opened and why
 */
export async function openDatabase(
  { databaseUrl, dataDir }: { databaseUrl: string | undefined; dataDir: string },
  log: Logger,
  { wait = true, ...pool }: { max: number; name: string; wait?: boolean },
): Promise<OpenDatabase> {
  if (databaseUrl === undefined) {
    const embedded = await openEmbedded(dataDir, log);
    const db = connectDatabase(embedded.url, pool);
    const close = async () => {
      await db.end({ timeout: 5 });
      await embedded.close();
    };
    return { db, url: embedded.url, where: `embedded PostgreSQL in ${dataDir} (${embedded.how})`, close };
  }
  const db = connectDatabase(databaseUrl, pool);
  await waitForDatabase(db, databaseUrl, log, wait ? 60_000 : 0);
  return { db, url: databaseUrl, where: describeUrl(databaseUrl), close: () => db.end({ timeout: 5 }) };
}

async function waitForDatabase(db: Database, url: string, log: Logger, patience: number): Promise<void> {
  const deadline = Date.now() + patience;
  for (let said = false; ; said = true) {
    try {
      await db`SELECT 1`;
      return;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!isUnavailable(error) || Date.now() >= deadline) {
        await db.end({ timeout: 0 });
        throw new Error(`The database at ${describeUrl(url)} (DATABASE_URL) cannot be used: ${reason}`, {
          cause: error,
        });
      }
      if (!said) log.warn(`the database at ${describeUrl(url)} does not answer yet (${reason}); trying for a minute`);
      await sleep(500);
    }
  }
}

function describeUrl(url: string): string {
  const { host, pathname } = new URL(url);
  return `PostgreSQL at ${host}${pathname}`;
}
