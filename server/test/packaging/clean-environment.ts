/** What a machine has that never saw this repository: no settings, no tools from our node_modules. */
import { spawn } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allSettings } from '../../src/config.ts';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Keeps what the machine needs to reach its package registry (proxies, certificates, npm's own settings).
 * @param programs folders to look for programs in first
 */
export function cleanEnvironment(...programs: string[]): NodeJS.ProcessEnv {
  const ours = new Set(allSettings.flatMap(({ name }) => [name, `${name}_FILE`]));
  const isOurs = (name: string) =>
    ours.has(name) ||
    /^(npm_(?!config_(registry|userconfig|cache|cafile|strict_ssl|https?_proxy|noproxy)$)|NODE_(TEST|OPTIONS|ENV))/.test(
      name,
    );
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOurs(name)));
  const own = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  return { ...env, PATH: [...programs, dirname(process.execPath), ...own].join(delimiter) };
}

/** Runs a program to its end. @throws Error with what it said, when it fails or takes longer than three minutes */
export async function run(program: string, args: string[], cwd: string, env = cleanEnvironment()): Promise<string> {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 180_000 });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const code = await new Promise((done) => child.once('close', done));
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  return output;
}

/**
 * Why a suite that installs packages cannot run here, or false. Where services are required (`.ci/run`) it always runs.
 */
export async function withoutRegistry(): Promise<string | false> {
  if (process.env.POSTERN_TEST_REQUIRE_SERVICES === '1') return false;
  const asked = run('npm', ['view', 'yaml', 'version', '--fetch-retries=0', '--fetch-timeout=5000'], repository);
  return asked.then(
    () => false as const,
    () => 'the package registry cannot be reached from here',
  );
}
