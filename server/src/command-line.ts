#!/usr/bin/env node
/** The command line: find the command, parse its options, run it, and turn what it throws into an exit code. */
import { parseArgs } from 'node:util';
import { clientCommands } from './cli/clients.ts';
import { type Command, type Input, UsageError } from './cli/command.ts';
import { doctorCommand } from './cli/doctor.ts';
import { emailCommands } from './cli/emails.ts';
import { keyCommands } from './cli/keys.ts';
import { migrateCommand } from './cli/migrate.ts';
import { startCommand } from './cli/start.ts';
import { tenantCommands } from './cli/tenants.ts';
import { userCommands } from './cli/users.ts';
import { ConfigError } from './config.ts';
import { PosternError } from './errors.ts';
import { version } from './version.ts';

const commands: Command[] = [
  startCommand,
  migrateCommand,
  doctorCommand,
  ...tenantCommands,
  ...clientCommands,
  ...keyCommands,
  ...userCommands,
  ...emailCommands,
];

process.exitCode = await main(process.argv.slice(2));

/** @returns the exit code: 0 done, 1 failed, 2 called wrongly */
async function main(args: string[]): Promise<number> {
  if (args[0] === '--version') {
    console.log(version);
    return 0;
  }
  const command = findCommand(args);
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

function findCommand(args: string[]): Command | undefined {
  const given = args.filter((arg) => !arg.startsWith('-')).join(' ');
  return commands.find(({ name }) => given === name || given.startsWith(`${name} `));
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

function answerUnknown(args: string[]): number {
  const asked = args.length === 0 || args.includes('--help') || args.includes('-h') || args[0] === 'help';
  const lines = commands.map((command) => `  ${synopsis(command).padEnd(34)} ${command.summary}`);
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
  return `Usage: postern ${synopsis(command)} [options]\n\n${command.summary}\n\nOptions:\n${options}`;
}
