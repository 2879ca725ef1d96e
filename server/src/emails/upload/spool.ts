import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const flushSize = 96 * 1024;
// Buffers of one middling size leave few holes behind in the process's memory; large ones do.
const readSize = 48 * 1024;

/**
 * Octets that are written once and then read: in memory while they are few, then in a file. The file has no name from
 * the start, so that it is gone with whoever opened it, also when that is killed.
 */
export class Spool {
  size = 0;
  readonly #folder: string;
  #file: FileHandle | undefined;
  #held: Buffer[] = [];
  #heldSize = 0;

  /** @param folder exists */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** To be awaited before the next. The pieces are free to be used again after that. */
  async append(pieces: Buffer[]): Promise<void> {
    for (const piece of pieces) {
      // A piece is often a few octets of a large buffer, which would stay with it.
      this.#held.push(Buffer.from(piece));
      this.#heldSize += piece.length;
      this.size += piece.length;
    }
    if (this.#heldSize >= flushSize) await this.#flush();
  }

  /** To be called before reading. */
  async end(): Promise<void> {
    if (this.#file) await this.#flush();
    else this.#held = [Buffer.concat(this.#held)];
  }

  async *read(offset: number, size: number): AsyncGenerator<Buffer> {
    const [whole = Buffer.alloc(0)] = this.#held;
    if (!this.#file && size > 0) yield whole.subarray(offset, offset + size);
    if (!this.#file) return;
    for (let at = offset; at < offset + size; ) {
      const wanted = Math.min(readSize, offset + size - at);
      const { buffer, bytesRead } = await this.#file.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, at);
      if (bytesRead === 0) throw new Error('A spool file ends too early.');
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async close(): Promise<void> {
    this.#held = [];
    await this.#file?.close();
  }

  async #flush(): Promise<void> {
    this.#file ??= await openNameless(this.#folder);
    let at = this.size - this.#heldSize;
    for (const piece of this.#held) {
      for (let done = 0; done < piece.length; ) {
        const { bytesWritten } = await this.#file.write(piece, done, piece.length - done, at);
        done += bytesWritten;
        at += bytesWritten;
      }
    }
    this.#held = [];
    this.#heldSize = 0;
  }
}

async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, randomUUID());
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
