/**
 * One connection at work: letter after letter, the commands of each in one write where the server takes them so
 * (RFC 2920), and those of the next one behind the message of the one before. Only DATA has to be waited for, so a letter
 * costs one round trip. Nothing of a letter's content leaves before the server has asked for it, which is what lets a
 * letter be taken to another connection.
 */
import { type Patience, slowestPace } from './patience.ts';
import { type Connection, stopped, tooLate } from './smtp-connection.ts';
import { DotStuffer } from './smtp-content.ts';
import type { Letter } from './smtp-letter.ts';
import { ProtocolFault, type ServerReply } from './smtp-replies.ts';

export interface SessionOwner {
  /** The next letter for the session; `isBehind`: to be written behind a message that has not been answered. */
  take: (session: Session, isBehind: boolean) => Letter | undefined;
  /** Takes a letter back of which no content was sent; `isStale`: the connection was gone before the letter came. */
  giveBack: (letter: Letter, isStale?: boolean) => void;
  /** The session has nothing to do; `start` gives it something. */
  rest: (session: Session) => void;
  /** The session is over, or carries nothing more. */
  ended: (session: Session) => void;
}

/** A larger message goes in pieces of this size, as fast as the server takes them. */
const pieceSize = 64 * 1024;
/** Letters that go over one connection: relays limit them, often to 100 or 1,000 (and say 421 then). */
const maxLetters = 1_000;
const leaveTakingMilliseconds = 2_000;

export class Session {
  readonly connection: Connection;
  readonly #owner: SessionOwner;
  readonly #patience: Patience;
  readonly #isPipelining: boolean;
  /** The letter whose replies come now, and the one whose commands were written behind its message. */
  #head: Letter | undefined;
  #next: Letter | undefined;
  /** The answer to RSET, or to the dot of a message for nobody, is awaited before the next letter's. */
  isClearing = false;
  /** After the present letter the connection is left, politely or at once. */
  #isLast = false;
  #hasTakenBack = false;
  #finished = 0;
  /** It has been without work, so the server may have left it without our knowing. */
  #isKept = false;
  #now = 0;
  #since = 0;
  #deadline = Number.POSITIVE_INFINITY;
  /** How long the last message was waited for, milliseconds. */
  lastAnswerTime = 0;
  restingSince = 0;

  constructor(connection: Connection, owner: SessionOwner, patience: Patience) {
    this.connection = connection;
    this.#owner = owner;
    this.#patience = patience;
    this.#isPipelining = connection.extensions.pipelining;
    connection.onReplies = () => this.#read();
    connection.onEnd = (error) => this.#onEnd(error, true);
  }

  /** Takes the next letter, or rests. */
  free(): void {
    this.#now = performance.now();
    while (!this.connection.isEnded) {
      if (this.#isWorn()) return void this.quit();
      const letter = this.#owner.take(this, false);
      if (!letter) {
        this.#isKept = true;
        this.#deadline = Number.POSITIVE_INFINITY;
        this.restingSince = this.#now;
        this.#owner.rest(this);
        return;
      }
      if (this.start(letter)) return;
    }
  }

  /** Begins with a letter, the session having nothing to do. Returns false where there was nothing to send. */
  start(letter: Letter): boolean {
    this.#now = performance.now();
    if (!this.connection.replies.isEmpty) {
      this.#fail(new ProtocolFault('The server spoke without being asked.'));
      this.#owner.giveBack(letter);
      return true;
    }
    if (!letter.prepare(this.connection.extensions)) return false;
    this.#begin(letter);
    this.#write(this.#isPipelining ? `${letter.envelope}DATA\r\n` : firstLine(letter.envelope), letter.isUtf8);
    return true;
  }

  #begin(letter: Letter): void {
    this.#head = letter;
    letter.startedAt = this.#now;
    this.#expect(this.#patience.reply);
  }

  /** Something has happened; the next thing must within so many milliseconds. */
  #expect(milliseconds: number): void {
    this.#since = this.#now;
    this.#deadline = this.#now + milliseconds;
  }

  /** Looks at the clock. */
  tick(now: number): void {
    const letter = this.#head;
    this.#now = now;
    if (now >= this.#deadline || (letter && !letter.isHandedOver && now - letter.startedAt >= this.#limitOf(letter))) {
      this.#lose(tooLate());
    } else if (this.#next && this.isStalled(now)) {
      const next = this.#next;
      this.#next = undefined;
      this.#hasTakenBack = true;
      this.#owner.giveBack(next);
    }
  }

  #limitOf({ message }: Letter): number {
    return this.#patience.letter + message.size / slowestPace;
  }

  /** Whether an answer has been due for long. */
  isStalled(now: number): boolean {
    return this.#deadline !== Number.POSITIVE_INFINITY && now - this.#since >= this.#patience.stall;
  }

  /** Cuts what is in progress. */
  abandon(): void {
    if (this.#head || this.isClearing) this.#lose(stopped());
  }

  /** Leaves politely. */
  quit(): void {
    this.connection.quit(leaveTakingMilliseconds);
    this.#owner.ended(this);
  }

  /** Whether it has carried enough, the letters in progress included. */
  #isWorn(): boolean {
    const inProgress = this.#head ? 1 : 0;
    return (
      this.#isLast ||
      this.#finished + inProgress >= maxLetters ||
      this.#now - this.connection.openedAt >= this.#patience.age
    );
  }

  #read(): void {
    const { connection } = this;
    this.#now = performance.now();
    try {
      for (let reply = connection.replies.next(); reply; reply = connection.replies.next()) {
        this.#hear(reply);
        if (connection.isEnded) return;
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** @throws ProtocolFault */
  #hear(reply: ServerReply): void {
    if (this.isClearing) return void this.#hearCleared(reply);
    const letter = this.#head;
    if (!letter) return void this.#fail(new ProtocolFault(`The server spoke without being asked: ${reply.text}`));
    const waited = this.#now - this.#since;
    this.#expect(this.#patience.reply);
    if (reply.code === 421) return void this.#hearClosing(letter, reply);
    if (letter.isBegun) return void this.#hearVerdict(letter, reply, waited);
    const step = letter.answered++;
    if (step > letter.recipients.length) return void this.#hearData(letter, reply);
    if (reply.code >= 300 && reply.code < 400) throw new ProtocolFault(`out of order: ${reply.text}`);
    const isRefused = reply.code >= 400;
    if (step === 0) {
      if (isRefused) letter.refusal = reply;
    } else if (isRefused && !letter.refusal) {
      letter.refuse(letter.recipients[step - 1] as string, reply);
    }
    if (!this.#isPipelining) this.#goOn(letter, step);
  }

  /** The next command, where each waits for the reply to the one before. */
  #goOn(letter: Letter, step: number): void {
    if (letter.refusal || !letter.hasRecipients) return void this.#endRefused(letter);
    const isLast = step === letter.recipients.length;
    this.#write(isLast ? 'DATA\r\n' : `${letter.envelope.split('\r\n')[step + 1]}\r\n`, letter.isUtf8);
  }

  /** The reply to DATA. */
  #hearData(letter: Letter, reply: ServerReply): void {
    if (reply.code !== 354 && reply.code < 400) throw new ProtocolFault(`out of order: ${reply.text}`);
    // Nothing may be said now: a reply that is already here answers a message that was not sent.
    if (!this.connection.replies.isEmpty) throw new ProtocolFault('The server answered before it was asked.');
    const isForNobody = letter.refusal !== undefined || !letter.hasRecipients;
    if (reply.code !== 354) return void this.#endRefused(letter, isForNobody ? undefined : reply);
    if (!isForNobody) return void this.#sendMessage(letter);
    letter.settleRefused();
    if (letter.refusal)
      return void this.#fail(new ProtocolFault('The server wants a message after it has refused it.'));
    // RFC 2920 3.1: a message for nobody ends at once.
    this.#finished++;
    this.#clear('.\r\n');
  }

  /** The letter has its answer before its message; the server forgets what it knows of it. */
  #endRefused(letter: Letter, reply?: ServerReply): void {
    const { refusal = reply } = letter;
    if (refusal) letter.settle(refusal);
    else letter.settleRefused();
    this.#finished++;
    this.#head = undefined;
    // 503 (RFC 5321 4.2.2: bad sequence of commands) says that we no longer agree on where we are.
    if (refusal?.code === 503) return void this.quit();
    this.#clear('RSET\r\n');
  }

  #clear(command: string): void {
    this.#head = undefined;
    this.isClearing = true;
    this.#expect(this.#patience.reply);
    this.#write(command, false);
  }

  #hearCleared({ code, text }: ServerReply): void {
    this.isClearing = false;
    if (code === 421 || code < 200 || (code >= 300 && code < 400)) return void this.#fail(new ProtocolFault(text));
    this.free();
  }

  #sendMessage(letter: Letter): void {
    const { content } = letter.message;
    letter.isBegun = true;
    if (!Buffer.isBuffer(content) || content.length > pieceSize) return void this.#stream(letter);
    let body = content;
    let end = '.\r\n';
    if (!letter.isClean) {
      const stuffer = new DotStuffer();
      body = stuffer.push(content);
      end = stuffer.end();
    } else if (content.length > 0 && content[content.length - 1] !== 10) end = '\r\n.\r\n';
    this.#handOver(letter, body, end);
  }

  /** Writes the last of a message, its dot, and the commands of the next letter: one write, one packet. */
  #handOver(letter: Letter, body: Buffer, end: string): void {
    const next = this.#takeBehind();
    const encoding = next?.isUtf8 ? 'utf8' : 'latin1';
    const tail = next ? `${end}${next.envelope}DATA\r\n` : end;
    const bytes = Buffer.allocUnsafe(body.length + Buffer.byteLength(tail, encoding));
    bytes.set(body);
    bytes.write(tail, body.length, encoding);
    this.#next = next;
    letter.isHandedOver = true;
    this.#expect(this.#patience.dot);
    this.connection.socket.write(bytes);
  }

  #takeBehind(): Letter | undefined {
    if (!this.#isPipelining || this.#isWorn()) return undefined;
    let letter = this.#owner.take(this, true);
    while (letter && !letter.prepare(this.connection.extensions)) letter = this.#owner.take(this, true);
    return letter;
  }

  /** Sends a large message as fast as the server takes it: no more of it is in memory than that. */
  async #stream(letter: Letter): Promise<void> {
    const { socket } = this.connection;
    const stuffer = new DotStuffer();
    try {
      for await (const piece of piecesOf(letter.message.content)) {
        if (this.#head !== letter) return;
        const isTaken = socket.write(stuffer.push(piece));
        if (!isTaken) await this.#drained();
        if (this.#head !== letter) return;
        this.#now = performance.now();
        this.#expect(this.#patience.block);
      }
    } catch (error) {
      // The message could not be read: not the server's fault, and not the end of it either.
      if (this.#head !== letter) return;
      this.#head = undefined;
      letter.reject(error);
      return void this.connection.end(new Error('The message could not be read.'));
    }
    if (this.#head === letter) this.#handOver(letter, Buffer.alloc(0), stuffer.end());
  }

  /** Resolves when the socket takes more, or never will. */
  #drained(): Promise<void> {
    const { socket } = this.connection;
    return new Promise((resolve) => {
      const done = () => {
        socket.off('drain', done);
        socket.off('close', done);
        resolve();
      };
      socket.on('drain', done);
      socket.on('close', done);
    });
  }

  /** The reply to the final dot. */
  #hearVerdict(letter: Letter, reply: ServerReply, waited: number): void {
    if (reply.code < 400 && (reply.code >= 300 || !letter.isHandedOver)) {
      throw new ProtocolFault(`out of order: ${reply.text}`);
    }
    this.#head = undefined;
    letter.settle(reply);
    this.#finished++;
    this.lastAnswerTime = waited;
    // Refused in the middle: what we are about to send would be taken for commands.
    if (!letter.isHandedOver) return void this.connection.end(new Error(reply.text));
    if (this.#hasTakenBack) return void this.connection.end(new Error('The server is slow.'));
    const next = this.#next;
    this.#next = undefined;
    if (next) this.#begin(next);
    else this.free();
  }

  /** 421 may answer anything (RFC 5321 3.8): the server leaves. */
  #hearClosing(letter: Letter, reply: ServerReply): void {
    this.#head = undefined;
    // Before the letter was looked at, it is about a connection that has carried others: enough of them, perhaps.
    const isAboutConnection = letter.answered === 0 && this.#finished > 0;
    if (letter.refusal) letter.settleRefused();
    else if (!isAboutConnection) letter.settle(reply);
    this.connection.end(new Error(reply.text));
    if (isAboutConnection) this.#owner.giveBack(letter);
  }

  /** No reply of this server means anything any more. */
  #fail(error: Error): void {
    this.#head?.settleFault(error);
    this.#head = undefined;
    this.connection.end(error);
  }

  #lose(error: Error): void {
    this.connection.onEnd = () => this.#onEnd(error, false);
    this.connection.end(error);
  }

  /** @param isGone by itself: then a letter may be tried elsewhere at once */
  #onEnd(error: Error, isGone: boolean): void {
    const head = this.#head;
    const next = this.#next;
    this.#head = undefined;
    this.#next = undefined;
    this.#owner.ended(this);
    if (next) this.#owner.giveBack(next);
    if (!head) return;
    const isUntouched = !head.isBegun && (this.#finished > 0 || this.#isKept);
    if (isGone && isUntouched) this.#owner.giveBack(head, this.#isKept);
    else head.settleLost(error);
  }

  #write(commands: string, isUtf8: boolean): void {
    this.connection.socket.write(commands, isUtf8 ? 'utf8' : 'latin1');
  }
}

function firstLine(commands: string): string {
  return commands.slice(0, commands.indexOf('\r\n') + 2);
}

async function* piecesOf(content: Letter['message']['content']): AsyncGenerator<Buffer> {
  if (!Buffer.isBuffer(content)) yield* content();
  else for (let at = 0; at < content.length; at += pieceSize) yield content.subarray(at, at + pieceSize);
}
