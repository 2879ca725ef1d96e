/** The shape of a command: `main.ts` finds it, parses its options, prints its help and catches what it throws. */
import type { ParseArgsOptionDescriptor } from 'node:util';
import type { Logger } from 'pino';
import { type Config, loadConfig } from '../config.ts';
import { readSecretKeys } from '../crypto/secret-key-file.ts';
import { makeSecrets, type Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { openDatabase } from '../database/open.ts';
import { makeLogger } from '../log.ts';
import { ensureDefaultTenant, openTenantDirectory, type Tenant } from '../tenants/tenants.ts';

export interface Option extends ParseArgsOptionDescriptor {
  help: string;
  /** What the help shows in place of the value, e.g. `SLUG`. */
  value?: string;
}

export interface Input {
  /** Options by name: text, true for a flag, a list where `multiple`. */
  options: Record<string, string | boolean | (string | boolean)[] | undefined>;
  positionals: string[];
  /** Prints `json` with --json, else `text`. */
  print: (json: unknown, text: string) => void;
}

export interface Command {
  /** Words after `postern`, e.g. `clients create`. */
  name: string;
  summary: string;
  /** Positional arguments as the help shows them, e.g. `SLUG`. A `[` marks them optional. */
  positionals?: string;
  options?: Record<string, Option>;
  /** What its help says beyond that. */
  details?: string;
  run: (input: Input) => Promise<void>;
}

/** A mistake in how a command was called: exit code 2 and a pointer to --help. */
export class UsageError extends Error {}

export function textOption(input: Input, name: string): string | undefined {
  const value = input.options[name];
  return typeof value === 'string' ? value : undefined;
}

export function requiredOption(input: Input, name: string): string {
  const value = textOption(input, name);
  if (value === undefined) throw new UsageError(`--${name} is needed`);
  return value;
}

export function listOption(input: Input, name: string): string[] {
  const value = input.options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

export interface Tools {
  config: Config;
  db: Database;
  secrets: Secrets;
  log: Logger;
}

/** Opens the database that a running server uses, or starts the embedded one for as long as `work` takes. */
export async function withDatabase<T>(work: (tools: Tools) => Promise<T>): Promise<T> {
  const config = loadConfig();
  const log = await makeLogger('error', false);
  const database = await openDatabase(config, log, { max: 4, name: 'postern cli' });
  try {
    await migrate(database.db);
    await ensureDefaultTenant(database.db);
    const secrets = makeSecrets(await readSecretKeys(config));
    return await work({ config, db: database.db, secrets, log });
  } finally {
    await database.close();
  }
}

/** Columns of text, aligned; `—` for what is absent. */
export function asTable(rows: Record<string, unknown>[]): string {
  const [first] = rows;
  if (!first) return 'none';
  const names = Object.keys(first);
  const cells = [names, ...rows.map((row) => names.map((name) => cell(row[name])))];
  const widths = names.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells
    .map((line) =>
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '—';
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/** The tenant that --tenant names, or `default`. */
export async function tenantOf(input: Input, db: Database): Promise<Tenant> {
  const slug = textOption(input, 'tenant') ?? 'default';
  return openTenantDirectory({ db, tenants: 'closed' }).resolveTenant(slug);
}
