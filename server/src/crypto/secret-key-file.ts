import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The keys of SECRET_KEY, or the one kept in `DATA_DIR/secret-key`, which is made when there is none (development).
 * Everything in the data folder depends on it: keep them together.
 */
export async function readSecretKeys({
  secretKeys,
  dataDir,
}: {
  secretKeys: string[];
  dataDir: string;
}): Promise<Buffer[]> {
  const keys = secretKeys.length > 0 ? secretKeys : [await keptKey(dataDir)];
  return keys.map((key) => Buffer.from(key, 'base64'));
}

async function keptKey(dataDir: string): Promise<string> {
  const path = join(dataDir, 'secret-key');
  const kept = await readFile(path, 'utf8').catch(() => undefined);
  if (kept !== undefined) return kept.trim();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  // Written whole and then linked: of two that start together one wins and both read the same key.
  const draft = `${path}.${process.pid}`;
  const file = await open(draft, 'w', 0o600);
  await file.writeFile(`${randomBytes(32).toString('base64')}\n`);
  await file.sync();
  await file.close();
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(draft);
  return (await readFile(path, 'utf8')).trim();
}
