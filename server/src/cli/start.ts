import { readFileSync } from 'node:fs';
import * as module from 'node:module';
import { isStartedByNpm, loadConfig } from '../config.ts';
import { makeLogger } from '../log.ts';
import type { Role } from '../start.ts';
import { type Command, textOption, UsageError } from './command.ts';

const roles: readonly Role[] = ['all', 'api', 'worker'];

export const startCommand: Command = {
  name: 'start',
  summary: 'Run the service.',
  options: {
    role: {
      type: 'string',
      value: 'all|api|worker',
      help: 'all: HTTP and mail workers (default); api or worker: one of them.',
    },
  },
  run: async (input) => {
    const given = textOption(input, 'role') ?? 'all';
    const role = roles.find((one) => one === given);
    if (!role) throw new UsageError(`--role must be one of: ${roles.join(', ')}`);
    const config = loadConfig();
    const log = await makeLogger(config.logLevel, process.stdout.isTTY === true);
    // A signal must be heard from the first moment: what it interrupts is then stopped as soon as it stands.
    const stopAsked = stopSignal();
    // Most of the code there is, which no other command needs.
    const { start } = await import('../start.ts');
    const running = await start({ config, role, log });
    if (running.banner) process.stdout.write(running.banner);
    // Written by Node at the end, which a service that is killed does not have.
    module.flushCompileCache?.();
    log.info(`stopping: ${await stopAsked}`);
    await running.stop();
    log.info('stopped');
    // Whatever a library still holds open must not keep a stopped service alive.
    log.flush();
    setTimeout(() => process.exit(), 1_000).unref();
  },
};

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
    // Killed, npm cannot pass anything on, and its shell does not pass on what it gets: without this the service would
    // live on and keep the port.
    if (isStartedByNpm()) {
      const before = starters();
      setInterval(() => starters() !== before && resolve('npm is gone'), 200).unref();
    }
  });
}

/** Who started us: npm, or its shell and, where /proc tells, npm behind that. */
function starters(): string {
  try {
    // pid (name) state ppid …
    const [, name, parent] = /^\d+ \((.*)\) \S (\d+) /s.exec(readFileSync(`/proc/${process.ppid}/stat`, 'utf8')) ?? [];
    // Some shells make way for what they run; then our parent is npm, and whoever started that may go as they like.
    if (name !== undefined && /^(sh|dash|ash|bash)$/.test(name)) return `${process.ppid} ${parent}`;
  } catch {
    // No /proc here, or the parent has just gone.
  }
  return String(process.ppid);
}
