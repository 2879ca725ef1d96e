/** Builds `dist/` for the published package and the image: JavaScript, declarations, and the files the code reads. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, 'dist');

rmSync(dist, { recursive: true, force: true });
const compiler = fileURLToPath(import.meta.resolve('typescript/package.json')).replace('package.json', 'bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', join(here, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);

// Whatever is no TypeScript is read at run time from beside the code: migrations, the inbox's script and style.
cpSync(join(here, 'src'), dist, {
  recursive: true,
  filter: (path) => statSync(path).isDirectory() || extname(path) !== '.ts',
});

cpSync(join(here, '..', 'LICENSE'), join(dist, 'LICENSE'));
chmodSync(join(dist, 'main.js'), 0o755);
