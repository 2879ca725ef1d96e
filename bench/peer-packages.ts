/** What the peers are made of: installed where it is missing, in this folder alone. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** False, and said so, where they cannot be had. */
export function arePeersInstalled(): boolean {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const isThere = (name: string) => existsSync(join(folder, 'node_modules', name));
  if (Object.keys(dependencies).every(isThere)) return true;
  console.log("installing the peers' packages (npm ci --prefix bench)");
  const { status } = spawnSync('npm', ['ci', '--prefix', folder, '--ignore-scripts'], { stdio: 'inherit' });
  if (status !== 0) console.log('  (they could not be installed: the peers are left out)');
  return status === 0;
}
