/** `users import`: a file of users, read as it comes, written a thousand at a time. */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { parse } from 'csv-parse';
import type { Database } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import { type ImportedUser, importUsers, maxImported } from '../users/import-users.ts';
import { type Command, tenantOf, textOption, UsageError, withDatabase } from './command.ts';

export const importCommand: Command = {
  name: 'users import',
  positionals: 'FILE',
  summary: 'Take over users with the hashes of their passwords, from CSV or JSON lines. No letter is sent.',
  options: {
    format: { type: 'string', value: 'csv|jsonl', help: 'Else the name of the file says it.' },
    report: { type: 'string', value: 'FILE', help: 'Where refused lines are written; FILE.refused.jsonl if left out.' },
    tenant: { type: 'string', value: 'SLUG', help: 'The tenant; default if left out.' },
  },
  details: `Columns (CSV, named in its first line) or members (JSON): email, username, name, profile_image_url,
password_hash, email_verified (true or false), created_at (RFC 3339). One of email and username is needed.

password_hash may be argon2, bcrypt, scrypt or PBKDF2 in the forms in which they are usually kept; the first login
replaces it. Who is there already stays as they are, so an import that was interrupted is simply begun anew.`,
  run: async (input) => {
    const file = input.positionals[0] ?? '';
    const format = formatOf(file, textOption(input, 'format'));
    const size = await sizeOf(file);
    const report = textOption(input, 'report') ?? `${file}.refused.jsonl`;
    await withDatabase(async ({ db }) => {
      const { id: tenantId } = await tenantOf(input, db);
      const progress = showProgress(size);
      const done = await importFile(db, tenantId, { file, format, report, progress });
      progress.end();
      const { imported, existing, refused } = done;
      const where = refused === 0 ? '' : `: see ${report}`;
      input.print(
        { ...done, report: refused === 0 ? null : report },
        `Imported ${imported}. There already: ${existing}. Refused: ${refused}${where}.`,
      );
    });
  },
};

type Format = 'csv' | 'jsonl';

function formatOf(file: string, option: string | undefined): Format {
  const format = option ?? (/\.csv$/i.test(file) ? 'csv' : /\.(jsonl|ndjson)$/i.test(file) ? 'jsonl' : undefined);
  if (format === 'csv' || format === 'jsonl') return format;
  throw new UsageError('--format csv or --format jsonl is needed: the name of the file does not say it');
}

async function sizeOf(file: string): Promise<number> {
  try {
    const { size } = await stat(file);
    return size;
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

interface Line {
  /** From 1, as editors count. */
  line: number;
  /** Of the file so far. */
  octets: number;
  /** Or what is wrong with it. */
  user: ImportedUser | string;
}

interface Counts {
  imported: number;
  existing: number;
  refused: number;
}

async function importFile(
  db: Database,
  tenantId: string,
  { file, format, report, progress }: { file: string; format: Format; report: string; progress: Progress },
): Promise<Counts> {
  const counts: Counts = { imported: 0, existing: 0, refused: 0 };
  let refusals: ReturnType<typeof createWriteStream> | undefined;
  const refuse = (line: number, code: string, detail: string) => {
    counts.refused++;
    refusals ??= createWriteStream(report);
    refusals.write(`${JSON.stringify({ line, code, detail })}\n`);
  };
  let batch: (Line & { user: ImportedUser })[] = [];
  const write = async () => {
    const outcomes = await importUsers(
      db,
      tenantId,
      batch.map(({ user }) => user),
    );
    for (const [index, outcome] of outcomes.entries()) {
      if (!(outcome instanceof PosternError)) counts.imported++;
      else if (outcome.code === 'users.already_registered') counts.existing++;
      else refuse(batch[index]?.line ?? 0, outcome.code, outcome.message);
    }
    progress.at(batch.at(-1)?.octets ?? 0);
    batch = [];
  };
  for await (const { line, octets, user } of format === 'csv' ? csvLines(file) : jsonLines(file)) {
    if (typeof user === 'string') refuse(line, 'http.invalid_request', user);
    else batch.push({ line, octets, user });
    if (batch.length === maxImported) await write();
  }
  await write();
  if (refusals) {
    refusals.end();
    await finished(refusals);
  }
  return counts;
}

async function* csvLines(file: string): AsyncGenerator<Line> {
  const parser = createReadStream(file).pipe(
    parse({
      bom: true,
      columns: (names: string[]) => checkColumns(names),
      info: true,
      skip_empty_lines: true,
      trim: true,
    }),
  );
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Record<string, string>;
      info: { lines: number; bytes: number };
    }>) {
      const members = Object.entries(record).filter(([, value]) => value !== '');
      yield { line: info.lines, octets: info.bytes, user: readMembers(Object.fromEntries(members), true) };
    }
  } catch (error) {
    throw new Error(`${file} is no CSV that can be read: ${error instanceof Error ? error.message : error}`);
  }
}

function checkColumns(names: string[]): string[] {
  const unknown = names.filter((name) => !Object.hasOwn(members, name));
  if (unknown.length === 0) return names;
  throw new Error(`its first line names the columns; ${unknown.map((name) => `"${name}"`).join(', ')} is none of them`);
}

async function* jsonLines(file: string): AsyncGenerator<Line> {
  let line = 0;
  let octets = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    line++;
    octets += Buffer.byteLength(text) + 1;
    if (text.trim() === '') continue;
    yield { line, octets, user: readJson(text) };
  }
}

function readJson(text: string): ImportedUser | string {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return 'The line is no JSON.';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'The line is no JSON object.';
  return readMembers(value as Record<string, unknown>, false);
}

const members: Record<keyof ImportedUser, 'string' | 'boolean'> = {
  email: 'string',
  username: 'string',
  name: 'string',
  profile_image_url: 'string',
  password_hash: 'string',
  email_verified: 'boolean',
  created_at: 'string',
};

/** @param isText whether all is text, as in CSV */
function readMembers(record: Record<string, unknown>, isText: boolean): ImportedUser | string {
  const user: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(record)) {
    if (!Object.hasOwn(members, name)) return `${name} is not known.`;
    if (value === null) continue;
    const type = members[name as keyof ImportedUser];
    const read =
      isText && type === 'boolean' ? ({ true: true, false: false }[String(value).toLowerCase()] ?? value) : value;
    if (typeof read !== type) return `${name} must be ${type === 'boolean' ? 'true or false' : 'text'}.`;
    user[name] = read;
  }
  return user;
}

interface Progress {
  at: (octets: number) => void;
  end: () => void;
}

/** A bar on a terminal, a line now and then elsewhere; on standard error, so that standard output stays the answer. */
function showProgress(size: number): Progress {
  const { stderr } = process;
  let saidAt = performance.now();
  return {
    at: (octets) => {
      const share = size === 0 ? 1 : Math.min(1, octets / size);
      const percent = `${Math.floor(share * 100)} %`.padStart(5);
      if (stderr.isTTY) {
        stderr.write(`\r${'█'.repeat(Math.round(share * 40)).padEnd(40, '░')} ${percent}`);
      } else if (performance.now() - saidAt > 5_000) {
        saidAt = performance.now();
        stderr.write(`${percent.trim()} read\n`);
      }
    },
    end: () => {
      if (stderr.isTTY) stderr.write('\r\x1b[K');
    },
  };
}
