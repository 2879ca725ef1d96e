/** The command line: find the command, parse its options, run it, and turn what it throws into an exit code. */
import { parseArgs } from 'node:util';
import { type Command, type Input, UsageError } from './cli/command.ts';
import { ConfigError } from './config.ts';
import { PosternError } from './errors.ts';
import { version } from './version.ts';

/** Commands by their first word: each loads what it needs itself, and nothing of the others. */
const commands: Record<string, () => Promise<Command[]>> = {
  start: async () => [(await import('./cli/start.ts')).startCommand],
  migrate: async () => [(await import('./cli/migrate.ts')).migrateCommand],
  doctor: async () => [(await import('./cli/doctor.ts')).doctorCommand],
  tenants: async () => (await import('./cli/tenants.ts')).tenantCommands,
  clients: async () => (await import('./cli/clients.ts')).clientCommands,
  keys: async () => (await import('./cli/keys.ts')).keyCommands,
  'signing-keys': async () => (await import('./cli/signing-keys.ts')).signingKeyCommands,
  users: async () => (await import('./cli/users.ts')).userCommands,
  roles: async () => (await import('./cli/roles.ts')).roleCommands,
  emails: async () => (await import('./cli/emails.ts')).emailCommands,
};

/** @returns the exit code: 0 done, 1 failed, 2 called wrongly */
export async function main(args: string[]): Promise<number> {
  if (args[0] === '--version') {
    console.log(version);
    return 0;
  }
  const command = await findCommand(args);
  if (!command) return answerUnknown(args);
  const rest = args.slice(command.name.split(' ').length);
  if (rest.includes('--help') || rest.includes('-h')) {
    console.log(helpOf(command));
    return 0;
  }
  try {
    await command.run(parseInput(command, rest));
    return 0;
  } catch (error) {
    return report(error, command);
  }
}

async function findCommand(args: string[]): Promise<Command | undefined> {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const given = words.join(' ');
  const group = Object.hasOwn(commands, words[0] ?? '') ? await commands[words[0] ?? '']?.() : undefined;
  return group?.find(({ name }) => given === name || given.startsWith(`${name} `));
}

function parseInput(command: Command, args: string[]): Input {
  const options = Object.fromEntries(
    Object.entries(command.options ?? {}).map(([name, { help: _, value: __, ...descriptor }]) => [name, descriptor]),
  );
  const parsed = parseArgs({
    args,
    options: { ...options, json: { type: 'boolean' }, help: { type: 'boolean' } },
    allowPositionals: command.positionals !== undefined,
    strict: true,
  });
  const asJson = parsed.values.json === true;
  const words = command.positionals?.split(' ') ?? [];
  const needed = words.filter((word) => !word.startsWith('[')).length;
  if (parsed.positionals.length < needed) throw new UsageError(`${command.positionals} is needed`);
  // Whoever names two things to delete must not believe that both are gone.
  const surplus = parsed.positionals[words.length];
  if (surplus !== undefined) throw new UsageError(`Unexpected argument '${surplus}'`);
  return {
    options: parsed.values as Input['options'],
    positionals: parsed.positionals,
    print: (json, text) => console.log(asJson ? JSON.stringify(json) : text),
  };
}

function report(error: unknown, command: Command): number {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS')) {
    console.error(`${(error as Error).message}. See: postern ${command.name} --help`);
    return 2;
  }
  if (error instanceof PosternError || error instanceof ConfigError) console.error(error.message);
  else if (error instanceof Error) console.error(`${error.message || error.name}${code ? ` (${code})` : ''}`);
  else console.error(String(error));
  return 1;
}

async function answerUnknown(args: string[]): Promise<number> {
  const asked = args.length === 0 || args.includes('--help') || args.includes('-h') || args[0] === 'help';
  const all = (await Promise.all(Object.values(commands).map((load) => load()))).flat();
  const lines = all.map((command) => `  ${synopsis(command).padEnd(34)} ${command.summary}`);
  const text = `Postern ${version}: users and mail for an application.\n\nCommands (each with --help; --json prints JSON):\n${lines.join('\n')}\n\nSettings are environment variables: see docs/configuration.md.`;
  if (asked) console.log(text);
  else console.error(`There is no command "${args.join(' ')}".\n\n${text}`);
  return asked ? 0 : 2;
}

function synopsis(command: Command): string {
  return [command.name, command.positionals].filter(Boolean).join(' ');
}

function helpOf(command: Command): string {
  const rows = Object.entries(command.options ?? {}).map(([name, option]) => [
    `--${name}${option.type === 'string' ? ` ${option.value ?? 'TEXT'}` : ''}`,
    `${option.help}${option.multiple ? ' May be repeated.' : ''}`,
  ]);
  rows.push(['--json', 'Print JSON.']);
  const width = Math.max(...rows.map(([left]) => left?.length ?? 0)) + 2;
  const options = rows.map(([left, right]) => `  ${left?.padEnd(width)}${right}`).join('\n');
  const details = command.details === undefined ? '' : `\n\n${command.details}`;
  return `Usage: postern ${synopsis(command)} [options]\n\n${command.summary}\n\nOptions:\n${options}${details}`;
}
