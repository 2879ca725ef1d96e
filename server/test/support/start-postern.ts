/** Starts a whole Postern, as a user would: its own process, its own data folder, free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from './free-ports.ts';
import { prepareData, type Stage } from './prepared-data.ts';
import { waitFor } from './wait-for.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface Postern {
  url: string;
  port: number;
  inboxPort: number;
  dataDir: string;
  env: Record<string, string>;
  /** Of the server process. */
  process: ChildProcess;
  /** What it printed so far, both streams. */
  output: () => string;
  /** One call: JSON in and out; `headers` and a raw `body` go as they are. */
  call: (method: string, path: string, options?: CallOptions) => Promise<Reply>;
  /** Runs the command line with the same settings; resolves with its exit code and what it printed. */
  cli: (...args: string[]) => Promise<{ code: number; stdout: string; stderr: string }>;
  /** SIGTERM, and waits for the end. */
  stop: () => Promise<number | null>;
  /** SIGKILL, and waits for the end; the data folder stays. */
  kill: () => Promise<void>;
  /** Starts it again on the same data folder and ports. */
  restart: (env?: Record<string, string>) => Promise<Postern>;
  /** Stops it and removes the data folder. */
  dispose: () => Promise<void>;
}

export interface CallOptions {
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as a form. */
  form?: Record<string, string>;
  body?: string;
  headers?: Record<string, string>;
  /** Access token for Authorization: Bearer. */
  token?: string;
  /** `user:password` for Authorization: Basic. */
  basic?: string;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** The parsed body, or undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read deep into answers whose shape is what they assert.
  body: any;
}

export interface StartOptions {
  env?: Record<string, string>;
  args?: string[];
  /** Share the data folder of another one (a second node). */
  dataDir?: string;
  /** Start a process that serves no HTTP (role worker). */
  headless?: boolean;
  /** Whether its own data folder is on the disk, and not in memory. */
  isOnDisk?: boolean;
}

/** @throws Error with the output when it does not become ready in 30 s */
export async function startPostern(options: StartOptions = {}): Promise<Postern> {
  const dataDir =
    options.dataDir ?? (await prepareData(stageFor(options.env ?? {}), options.isOnDisk ? 'disk' : 'memory'));
  const [port, inboxPort] = await freePorts(2);
  const env: Record<string, string> = {
    ...ofTheMachine(),
    HOME: process.env.HOME ?? '',
    PORT: String(port),
    INBOX_PORT: String(inboxPort),
    DATA_DIR: dataDir,
    LOG_LEVEL: 'info',
    ...options.env,
  };
  return launch(env, dataDir, options);
}

/** Keys that are there are sealed, and Posterns that share a broker are told apart by what they were given as they migrated. */
function stageFor({ SECRET_KEY, QUEUE_URL, REDIS_URL }: Record<string, string>): Stage {
  if (QUEUE_URL !== undefined || REDIS_URL !== undefined) return 'cluster';
  return SECRET_KEY === undefined ? 'started' : 'migrated';
}

async function launch(env: Record<string, string>, dataDir: string, options: StartOptions): Promise<Postern> {
  // Settings must come from `env` alone, not from a .env beside whoever runs the tests.
  const child = spawn(process.execPath, [main, 'start', ...(options.args ?? [])], { env, cwd: dataDir });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const port = Number(env.PORT);
  const url = `http://127.0.0.1:${port}`;

  const postern: Postern = {
    url,
    port,
    inboxPort: Number(env.INBOX_PORT),
    dataDir,
    env,
    process: child,
    output: () => output,
    call: async (method, path, callOptions) => {
      const reply = await call(`${url}${path}`, method, callOptions);
      // No test expects one, and what the assertion says of it explains nothing.
      if (reply.status === 500) console.error(output.match(/^.*"level":50,.*$/gm)?.at(-1) ?? output);
      return reply;
    },
    cli: (...args) => runMain(args, env, dataDir),
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    restart: (more = {}) => launch({ ...env, ...more }, dataDir, options),
    dispose: async () => {
      const isOwn = options.dataDir === undefined;
      if (child.exitCode === null && child.signalCode === null) {
        // Nothing of it is wanted any more, and an end in order takes a second of listening.
        child.kill(isOwn ? 'SIGKILL' : 'SIGTERM');
        await ended;
      }
      if (isOwn) await removeData(dataDir);
    },
  };
  await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`Postern ended with ${child.exitCode}:\n${output}`);
      if (options.headless) return output.includes('worker ready');
      return (await fetch(`${url}/readyz`)).status === 200;
    },
    { what: 'Postern to be ready', seconds: 90, retryOn: (error) => error instanceof TypeError, detail: () => output },
  );
  return postern;
}

/** What every process is given, whatever its settings. */
function ofTheMachine(): Record<string, string> {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env;
  return { PATH, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) };
}

/** Runs a command line to its end. */
export async function runMain(
  args: string[],
  env: Record<string, string>,
  cwd: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...ofTheMachine(), ...env }, cwd });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const code = await new Promise<number>((resolve) => child.once('close', (value) => resolve(value ?? -1)));
  return { code, stdout, stderr };
}

export async function call(url: string, method: string, options: CallOptions = {}): Promise<Reply> {
  const headers: Record<string, string> = { ...options.headers };
  if (options.token) headers.authorization = `Bearer ${options.token}`;
  if (options.basic) headers.authorization = `Basic ${Buffer.from(options.basic).toString('base64')}`;
  let body = options.body;
  if (options.json !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify(options.json);
  } else if (options.form) {
    headers['content-type'] = 'application/x-www-form-urlencoded';
    body = new URLSearchParams(options.form).toString();
  }
  const response = await fetch(url, {
    method,
    headers,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  return { status: response.status, headers: response.headers, text, body: parsed };
}

/** Stops an embedded PostgreSQL that a killed Postern left behind, then removes the folder. */
export async function removeData(dataDir: string): Promise<void> {
  const pid = Number(
    (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')[0],
  );
  if (pid > 0) {
    try {
      process.kill(pid, 'SIGQUIT');
      await waitFor(() => !isAlive(pid), { what: 'the embedded PostgreSQL to end' });
    } catch {
      // Already gone.
    }
  }
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // Who has ended is still there until somebody takes notice; not every init does so at once.
    return !existsSync('/proc/self') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
