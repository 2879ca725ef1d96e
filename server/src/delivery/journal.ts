/**
 * The journal: outcomes of delivery on their way into the database, in a file of this worker's own below DATA_DIR.
 *
 * An outcome is appended in the tick in which it arrived, so that it survives the process, and is at the disk before the
 * database is told, so that it survives the machine. Without it, a worker killed between the relay's 250 and the commit
 * would leave a letter that is sent again. What a dead worker left is replayed by the next one (journal-replay.ts); the
 * fencing token in every outcome makes a repeat harmless.
 *
 * A file is a row of frames: length of the payload, its CRC-32 (four octets each, big-endian), and the payload as JSON.
 * The first payload says whose the file is, an object is an outcome, and a number says how many outcomes of this file,
 * from its beginning, are in the database. A frame that is cut off ends the file.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import type { Logger } from 'pino';
import { newId } from '../crypto/ids.ts';
import type { Settlement } from './store.ts';

export interface Journal {
  /** Takes an outcome down at once. Does not throw: see `isBroken`. */
  append: (settlement: Settlement) => void;
  /** Resolves once everything appended before the call is at the disk. One call at a time. */
  flush: () => Promise<void>;
  /** The first `count` of those not yet done are in the database, or can never be. */
  done: (count: number) => void;
  /** Whether the disk refuses it: what is appended now would be lost with the process. */
  isBroken: () => boolean;
  /** Lets go of the file; it stays where there is something in it for the next worker. */
  close: () => void;
}

/** The first frame of a file. */
export interface JournalOwner {
  version: typeof journalVersion;
  host: string;
  pid: number;
}

export const journalVersion = 1;
export const journalSuffix = '.journal';
/** Sign of life of the owner, as the file's time of change. */
const beatMilliseconds = 1_000;
/** The file is begun anew, with what is not done yet, when it has grown beyond this many octets. */
const roomySize = 8 * 1024 * 1024;

const datasync = promisify(fdatasync);

/** Files that workers of this thread hold; a file in our process's name that is not among them is of a thread that died. */
export const ownJournals = new Set<string>();

export function journalFolder(dataDir: string): string {
  return join(dataDir, 'journal');
}

/**
 * Makes this worker's journal.
 * @throws Error that says what to do, where the folder cannot be written
 */
export function openJournal({ dataDir, log }: { dataDir: string; log: Logger }): Journal {
  return new JournalFile(makeJournalFolder(dataDir), log);
}

/** @throws Error that says what to do, where the folder cannot be written */
export function makeJournalFolder(dataDir: string): string {
  const folder = journalFolder(dataDir);
  const probe = join(folder, `${newId()}.probe`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    closeSync(openSync(probe, 'wx', 0o600));
    rmSync(probe);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `The mail worker cannot write its journal in ${folder} (${reason}). Name a folder in DATA_DIR that Postern may ` +
        'write to and that outlives the process.',
      { cause: error },
    );
  }
  return folder;
}

class JournalFile implements Journal {
  readonly #folder: string;
  readonly #path: string;
  readonly #log: Logger;
  readonly #beating: NodeJS.Timeout;
  #file: number;
  #size = 0;
  /** Outcomes in the file that are in the database, and frames of those that are not. */
  #doneCount = 0;
  #pending: Buffer[] = [];
  /** Frames of this turn that are not in the file yet. */
  #unwritten: Buffer[] = [];
  #fault: unknown;
  #isFlushing = false;
  #isClosed = false;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
    this.#path = join(folder, `${newId()}${journalSuffix}`);
    ownJournals.add(this.#path);
    this.#file = this.#begin();
    this.#beating = setInterval(() => this.#beat(), beatMilliseconds).unref();
  }

  append(settlement: Settlement): void {
    const entry = frame(JSON.stringify(settlement));
    this.#pending.push(entry);
    // What arrives in one turn is written in one call: a system call costs as much as the rest of it.
    if (this.#unwritten.push(entry) === 1) queueMicrotask(() => this.#write());
  }

  async flush(): Promise<void> {
    this.#write();
    this.#isFlushing = true;
    try {
      if (this.#fault === undefined && (this.#size > roomySize || this.#isTakenAway())) this.#renew();
      if (this.#fault === undefined) await datasync(this.#file);
    } catch (error) {
      this.#break(error);
    } finally {
      this.#isFlushing = false;
    }
  }

  done(count: number): void {
    if (this.#isClosed) return;
    this.#pending.splice(0, count);
    this.#doneCount += count;
    if (this.#unwritten.push(frame(String(this.#doneCount))) === 1) queueMicrotask(() => this.#write());
  }

  isBroken(): boolean {
    return this.#fault !== undefined;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beating);
    this.#write();
    closeSync(this.#file);
    if (this.#pending.length === 0) rmSync(this.#path, { force: true });
    ownJournals.delete(this.#path);
  }

  #write(): void {
    const [first, ...more] = this.#unwritten;
    if (first === undefined) return;
    const frames = more.length === 0 ? first : Buffer.concat(this.#unwritten);
    this.#unwritten = [];
    // A file that could not be written to may end in half a frame; it is begun anew, with all that is pending.
    if (this.#fault !== undefined) return;
    try {
      writeFully(this.#file, frames);
      this.#size += frames.length;
    } catch (error) {
      this.#break(error);
    }
  }

  /** A file of the same name beside the old one, then in its place: at no moment is there none. */
  #begin(): number {
    const unfinished = `${this.#path}.new`;
    const file = openSync(unfinished, 'w', 0o600);
    try {
      const owner: JournalOwner = { version: journalVersion, host: hostname(), pid: process.pid };
      const frames = Buffer.concat([frame(JSON.stringify(owner)), ...this.#pending]);
      writeFully(file, frames);
      fdatasyncSync(file);
      renameSync(unfinished, this.#path);
      syncFolder(this.#folder);
      this.#size = frames.length;
      this.#doneCount = 0;
      this.#unwritten = [];
      return file;
    } catch (error) {
      closeSync(file);
      rmSync(unfinished, { force: true });
      throw error;
    }
  }

  #renew(): void {
    const old = this.#file;
    this.#file = this.#begin();
    closeSync(old);
  }

  /** Another worker took us for dead (stopped and continued, say), replayed the file and removed it. */
  #isTakenAway(): boolean {
    return fstatSync(this.#file).nlink === 0;
  }

  #beat(): void {
    // The file that is being flushed must stay open.
    if (this.#isFlushing) return;
    try {
      if (this.#fault !== undefined || this.#isTakenAway()) this.#renew();
      else futimesSync(this.#file, new Date(), new Date());
      if (this.#fault !== undefined) this.#log.info('the journal of outcomes can be written again');
      this.#fault = undefined;
    } catch (error) {
      this.#break(error);
    }
  }

  #break(error: unknown): void {
    if (this.#fault === undefined) {
      this.#log.error({ err: error }, 'the journal of outcomes cannot be written; no delivery starts until it can');
    }
    this.#fault = error;
  }
}

function frame(payload: string): Buffer {
  const length = Buffer.byteLength(payload);
  const bytes = Buffer.allocUnsafe(8 + length);
  bytes.write(payload, 8);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** The payloads of a journal, up to the first frame that is cut off or damaged. */
export function readFrames(bytes: Buffer): string[] {
  const payloads: string[] = [];
  for (let offset = 0; offset + 8 < bytes.length; ) {
    const length = bytes.readUInt32BE(offset);
    const payload = bytes.subarray(offset + 8, offset + 8 + length);
    if (length === 0 || payload.length < length || crc32(payload) !== bytes.readUInt32BE(offset + 4)) break;
    payloads.push(payload.toString());
    offset += 8 + length;
  }
  return payloads;
}

function writeFully(file: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}

/** The name of a new file is at the disk only when its folder is. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
