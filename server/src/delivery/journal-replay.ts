import { type Dirent, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Database, isUnavailable } from '../database/database.ts';
import { type JournalOwner, journalFolder, journalSuffix, journalVersion, ownJournals, readFrames } from './journal.ts';
import { writeOutcomes } from './settle.ts';
import { findQueued, type Settlement } from './store.ts';

interface Parts {
  dataDir: string;
  db: Database;
  log: Logger;
}

/**
 * After this long without a sign of life an owner whose process cannot be looked at (a container that is gone, a process
 * id in use again) is taken for dead. Shorter than any lease, so that its letters are settled before they are sent again.
 * Where it lives after all (it was stopped and continues) it notices, and begins a new file.
 */
const silenceMilliseconds = 5_000;
const batchSize = 500;

/**
 * Writes the outcomes that dead workers left in journals below DATA_DIR, and removes those files. Journals of living
 * workers are left alone. Two that replay the same file do no harm: the database takes each outcome once.
 * @throws where the database is away; then nothing is removed that is not written
 */
export async function replayJournals(parts: Parts): Promise<void> {
  const folder = journalFolder(parts.dataDir);
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry: Dirent) => entry.isFile());
  for (const { name } of names) {
    const path = join(folder, name);
    if (name.endsWith(journalSuffix)) await tryReplay(parts, path);
    // Of a worker that died while it began a file, which then holds nothing that the one before it does not.
    else if ((silenceOf(path) ?? 0) > 60_000) rmSync(path, { force: true });
  }
}

/** Files that cannot be read or used; each is reported once, and kept. */
const unusable = new Set<string>();

/** @throws where the database is away */
async function tryReplay(parts: Parts, path: string): Promise<void> {
  if (unusable.has(path) || ownJournals.has(path)) return;
  try {
    await replayJournal(parts, path);
  } catch (error) {
    if (isUnavailable(error)) throw error;
    unusable.add(path);
    parts.log.error({ err: error, path }, 'a journal cannot be replayed; it is left alone');
  }
}

async function replayJournal({ db, log }: Parts, path: string): Promise<void> {
  const content = readJournal(path);
  if (!content || !isAbandoned(path, content.owner)) return;
  const { owner, outcomes } = content;
  if (owner && owner.version !== journalVersion) {
    throw new Error(`It has version ${owner.version}, of another version of Postern.`);
  }
  for (let start = 0; start < outcomes.length; start += batchSize) {
    const refused = await writeOutcomes({ db, log }, outcomes.slice(start, start + batchSize));
    // Most were written before, and the worker died before it could say so in the journal.
    const emails = refused.length === 0 ? [] : await findQueued(db, refused);
    if (emails.length > 0) log.warn({ emails }, 'outcomes in a journal came after the lease and were not written');
  }
  rmSync(path, { force: true });
  if (outcomes.length > 0) log.info({ outcomes: outcomes.length }, 'replayed the journal of a worker that died');
}

function readJournal(path: string): { owner: JournalOwner | undefined; outcomes: Settlement[] } | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    // Another worker was faster.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const [first, ...rest] = readFrames(bytes).map((payload): unknown => JSON.parse(payload));
  const done = rest.reduce<number>((most, one) => (typeof one === 'number' ? one : most), 0);
  return {
    owner: first as JournalOwner | undefined,
    outcomes: rest.filter((one): one is Settlement => typeof one !== 'number').slice(done),
  };
}

function isAbandoned(path: string, owner: JournalOwner | undefined): boolean {
  if (owner?.host === hostname()) {
    // Of this process, but not of this thread: of one that died, or, in a container, of a former life.
    if (owner.pid === process.pid || !isAlive(owner.pid)) return true;
  }
  return (silenceOf(path) ?? 0) > silenceMilliseconds;
}

/** Milliseconds since the file was last changed or touched. */
function silenceOf(path: string): number | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && Date.now() - stats.mtimeMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
