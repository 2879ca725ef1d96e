/** What a machine has that never saw this repository: no settings, no tools from our node_modules. */
import { spawn } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** @param programs folders to look for programs in first */
export function cleanEnvironment(...programs: string[]): Record<string, string> {
  const own = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  const path = [...programs, dirname(process.execPath), ...own].join(delimiter);
  return { PATH: path, HOME: process.env.HOME ?? '' };
}

/** Runs a program to its end. @throws Error with what it said, when it fails */
export async function run(program: string, args: string[], cwd: string, env = cleanEnvironment()): Promise<string> {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const code = await new Promise((done) => child.once('close', done));
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  return output;
}
