/**
 * Large bodies of mail calls. They are not gathered in memory: the contents of attachments go to a file as they arrive,
 * the text that is left follows them there where it is long, and is read back when there is room for it. So memory stays
 * within bounds however many letters of 25 MiB arrive at once; who finds no room waits, and is told to come back if
 * that takes too long.
 */
import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify';
import { defineError } from '../../errors.ts';
import type { Content } from '../attachments.ts';
import { ContentExtractor } from './content-extractor.ts';
import { type Gate, makeGate } from './gate.ts';
import { Spool } from './spool.ts';

export interface UploadedContent {
  size: number;
  isBase64: boolean;
  /** Of its base64, for http/idempotency.ts. */
  identity: string;
  content: Content;
}

/** The contents that were taken out of a body, by what stands for them there. */
export type UploadedContents = ReadonlyMap<string, UploadedContent>;

export interface Uploads {
  /** A hook for routes that take mail: it reads bodies that are large. */
  preParsing: preParsingHookHandler;
  /** Runs `work` with what was taken out of the request's body, which is kept until it is done. */
  withContents: <T>(request: FastifyRequest, work: (contents: UploadedContents) => Promise<T>) => Promise<T>;
  /** Where letters wait that are written in pieces, so that they leave connections to the others. */
  writing: Gate;
}

/** Bodies up to here are read as a whole, as everywhere. */
const smallSize = 256 * 1024;
/** Each takes a few MiB on its way. Those who wait are not read from, so that TCP makes them wait. */
const maxUploads = 16;
/** Of the memory that texts take up while they are worked on, by the estimate below. */
const roomForText = 128 * 1024 * 1024;
const lettersWrittenAtOnce = 3;
const maxWaitSeconds = 60;

const bodyTooLarge = defineError('http.body_too_large', 413, 'The body is too large');
const noSpace = defineError('emails.no_space', 503, 'There is no space for large emails now');

const none: UploadedContents = new Map();

/** @param folder for the files; what a killed process left there is removed */
export async function openUploads(folder: string): Promise<Uploads> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Files lose their name as soon as they are open, so these never held anything.
  for (const name of await readdir(folder)) await unlink(join(folder, name)).catch(() => {});
  const uploads = new WeakMap<FastifyRequest, Upload>();
  const slots = makeGate({ room: maxUploads, maxWaitSeconds });
  const texts = makeGate({ room: roomForText, maxWaitSeconds });
  const read = async (request: FastifyRequest, reply: FastifyReply, payload: Readable) => {
    const upload = new Upload(folder);
    uploads.set(request, upload);
    // Also when the connection is lost.
    reply.raw.once('close', () => void upload.leave());
    upload.users++;
    try {
      const leaveSlot = await slots.enter(1);
      upload.onEnd(leaveSlot);
      const receivedEncodedLength = await upload.receive(payload, request.routeOptions.bodyLimit);
      leaveSlot();
      upload.onEnd(await texts.enter(upload.costOfText()));
      // Fastify compares with Content-Length what arrived, not what is left of it.
      return Object.assign(upload.text(), { receivedEncodedLength });
    } catch (error) {
      // Whoever still sends is to see the answer, not a connection cut.
      payload.resume();
      throw isNoSpace(error) ? noSpace({ retryAfterSeconds: 60, cause: error }) : error;
    } finally {
      await upload.leave();
    }
  };
  return {
    preParsing: (request, reply, payload: Readable, done) => {
      if (!isLarge(request)) return done(null, payload);
      read(request, reply, payload).then((text) => done(null, text), done);
    },
    withContents: (request, work) => {
      const upload = uploads.get(request);
      if (!upload) return work(none);
      upload.users++;
      return work(upload.contents).finally(() => upload.leave());
    },
    writing: makeGate({ room: lettersWrittenAtOnce, maxWaitSeconds }),
  };
}

/** Whether a body is to be read here; what is refused by its looks alone is left to those who do. */
function isLarge({ headers, routeOptions }: FastifyRequest): boolean {
  const { 'content-length': length, 'content-type': type = '' } = headers;
  const isLong =
    length === undefined
      ? headers['transfer-encoding'] !== undefined
      : Number(length) > smallSize && Number(length) <= routeOptions.bodyLimit;
  return isLong && /^application\/json\b/i.test(type);
}

function isNoSpace(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

/** One large body. */
class Upload {
  /** The reply, and whoever works for it. */
  users = 1;
  readonly contents = new Map<string, UploadedContent>();
  readonly #extractor = new ContentExtractor();
  readonly #decoded: Spool;
  readonly #text: Spool;
  #ends: (() => void)[] = [];

  constructor(folder: string) {
    this.#decoded = new Spool(folder);
    this.#text = new Spool(folder);
  }

  /**
   * Reads it to its end.
   * @returns how long it was
   */
  async receive(payload: Readable, limit: number): Promise<number> {
    let length = 0;
    for await (const chunk of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) throw bodyTooLarge({ detail: `A body is at most ${limit} bytes here.` });
      const { text, decoded } = this.#extractor.push(chunk);
      await this.#text.append(text);
      await this.#decoded.append(decoded);
    }
    this.#extractor.end();
    await this.#text.end();
    await this.#decoded.end();
    for (const [reference, { offset, ...content }] of this.#extractor.contents) {
      this.contents.set(reference, { ...content, content: () => this.#decoded.read(offset, content.size) });
    }
    return length;
  }

  /** What the text takes up as buffer, string and values, and once more on its way to the database. */
  costOfText(): number {
    return 5 * this.#text.size + 100 * this.#extractor.values;
  }

  text(): Readable {
    return Readable.from(this.#text.read(0, this.#text.size), { objectMode: false });
  }

  onEnd(end: () => void): void {
    if (this.users > 0) this.#ends.push(end);
    else end();
  }

  async leave(): Promise<void> {
    if (--this.users > 0) return;
    for (const end of this.#ends) end();
    await Promise.all([this.#text.close(), this.#decoded.close()]);
  }
}
