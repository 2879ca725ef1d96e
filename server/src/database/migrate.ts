import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Database, Queryable } from './database.ts';

// Any number will do, as long as every Postern uses the same.
const migrationLock = 7_165_411_001;

const folder = new URL('./migrations/', import.meta.url);

/**
 * Applies `migrations/*.sql` in the order of their names, each in a transaction of its own, under an advisory lock so
 * that nodes that start together wait for each other. Also makes the coming months' partitions.
 *
 * @returns names of the migrations this call applied
 * @throws Error when an applied migration's text has changed, or the server is older than PostgreSQL 15
 */
export async function migrate(db: Database): Promise<string[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const connection = await db.reserve();
  try {
    const [server] = await connection<{ version: number }[]>`
      SELECT current_setting('server_version_num')::int AS version`;
    if (server && server.version < 150_000) {
      throw new Error(`PostgreSQL 15 or newer is needed; this server is ${Math.floor(server.version / 10_000)}.`);
    }
    await connection`SELECT pg_advisory_lock(${migrationLock})`;
    await connection`
      CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`;
    const applied = new Map(
      (await connection<{ name: string; checksum: string }[]>`SELECT name, checksum FROM schema_migrations`).map(
        (row) => [row.name, row.checksum],
      ),
    );
    const done: string[] = [];
    for (const name of files) {
      const sql = await readFile(new URL(name, folder), 'utf8');
      const checksum = createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex');
      const known = applied.get(name);
      if (known === checksum) continue;
      if (known !== undefined) {
        throw new Error(`Migration ${name} was applied with another text. Never edit an applied migration; add one.`);
      }
      // One simple-protocol string is one implicit transaction only without BEGIN; with it, all or nothing is explicit.
      await connection.unsafe(
        `BEGIN; ${sql}; INSERT INTO schema_migrations (name, checksum) VALUES ('${name}', '${checksum}'); COMMIT`,
      );
      done.push(name);
    }
    await createPartitions(connection);
    return done;
  } finally {
    // A failed migration leaves the session inside its transaction, where nothing else would run.
    await connection.unsafe('ROLLBACK').catch(() => {});
    await connection`SELECT pg_advisory_unlock(${migrationLock})`.catch(() => {});
    connection.release();
  }
}

/** Makes the monthly partitions of this and the next three months, where they are missing. */
export async function createPartitions(db: Queryable): Promise<void> {
  await db`SELECT create_partitions(3)`;
}

/** Whether every migration of this version has been applied. */
export async function isMigrated(db: Database): Promise<boolean> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql'));
  const [row] = await db<{ count: number }[]>`
    SELECT count(*)::int AS count FROM schema_migrations WHERE name = ANY(${files})`;
  return row?.count === files.length;
}
