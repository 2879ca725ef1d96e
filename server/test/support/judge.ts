/**
 * The judge of crashes. The client writes each letter down before it asks, and each id it got a 202 for; the sink writes
 * down recipient, Message-ID and a hash of the body before it answers 250. From these two files, and from what Postern
 * says of its letters, follows what was lost (L), doubled (D), made up (U) or taken back (M).
 */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Received, startSink } from './smtp-sink.ts';
import type { Postern, Reply } from './start-postern.ts';
import { waitFor } from './wait-for.ts';

/** A client with the scope `email`, and an access token of its own. */
export async function tokenOf(postern: Postern): Promise<string> {
  const made = await postern.cli('clients', 'create', '--id', 'app', '--scope', 'email', '--json');
  assert.equal(made.code, 0, made.stderr);
  const { status, body, text } = await postern.call('POST', '/oauth/token', {
    json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
  });
  assert.equal(status, 200, text);
  return body.access_token;
}

export interface Verdict {
  accepted: number;
  /** L: ids of accepted letters that did not arrive, have no end, or no event that says so. */
  lost: string[];
  /** D: further copies of accepted letters, the first not counted. */
  duplicates: number;
  /** Copies of the letter that came most often. */
  mostCopies: number;
  /** Of which it was unknown for a while, or is for ever, whether the relay took them. */
  uncertain: number;
  /** U: what came that nobody had asked for, or not like this. */
  unexpected: string[];
  /** M: letters whose status changed after its end. */
  backwards: string[];
}

export interface Judge {
  /** Of the sink. */
  port: number;
  /** Letters begun at the sink, their 250 not yet sent; and letters taken. */
  inFlight: () => number;
  taken: () => number;
  asked: () => number;
  accepted: () => number;
  /** Answers 503 so far. */
  refusals: () => number;
  /** Begins anew: letters so far are no longer judged. */
  forget: () => void;
  /** Hands in one letter, and asks again under the same Idempotency-Key until there is an answer. */
  handIn: (postern: () => Postern, token: string, fields?: object) => Promise<void>;
  /** Clients that hand in letters one after the other, each until `isOver`. */
  load: (postern: () => Postern, token: string, options: { clients: number; isOver: () => boolean }) => Promise<void>;
  /** Looks at the statuses of the newest letters until it is told to stop. */
  watch: (postern: () => Postern, token: string) => { stop: () => Promise<void> };
  /** Waits until no letter waits any more, and judges. */
  verdict: (postern: Postern, token: string, seconds?: number) => Promise<Verdict>;
  close: () => Promise<void>;
}

const open = new Set(['scheduled', 'queued', 'sending', 'deferred']);

interface Asked {
  recipient: string;
  hash: string;
}

interface Taken extends Asked {
  messageId: string;
}

/** @param holdMilliseconds how long the sink keeps each letter between writing it down and its 250 */
export async function startJudge({ holdMilliseconds = 30 } = {}): Promise<Judge> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-judge-'));
  const files = { asked: 'asked', accepted: 'accepted', taken: 'taken' };
  const write = (file: keyof typeof files, entry: object) =>
    appendFileSync(join(folder, files[file]), `${JSON.stringify(entry)}\n`);
  const read = <T>(file: keyof typeof files): T[] =>
    readFileSync(join(folder, files[file]), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  const begin = () => {
    for (const file of Object.values(files)) writeFileSync(join(folder, file), '');
  };
  begin();

  let inFlight = 0;
  let taken = 0;
  let accepted = 0;
  const sink = await startSink({
    onMessage: async (message) => {
      inFlight++;
      write('taken', entryOf(message));
      taken++;
      if (holdMilliseconds > 0) await sleep(holdMilliseconds);
      inFlight--;
    },
  });

  let isClosed = false;
  let letters = 0;
  let asked = 0;
  let refusals = 0;
  const handIn: Judge['handIn'] = async (postern, token, fields = {}) => {
    const number = ++letters;
    asked++;
    const json = { to: `r${number}@example.com`, subject: `Letter ${number}`, text: `${randomUUID()}`, ...fields };
    write('asked', { recipient: json.to, hash: hashOf(json.text) } satisfies Asked);
    const headers = { 'idempotency-key': randomUUID() };
    while (!isClosed) {
      const reply = await postern()
        .call('POST', '/emails', { token, json, headers })
        .catch(() => undefined);
      if (reply?.status === 202) {
        write('accepted', { id: reply.body.id });
        accepted++;
        return;
      }
      if (reply !== undefined) assertRefusal(reply);
      if (reply?.status === 503) refusals++;
      await sleep(200);
    }
  };

  const lastSeen = new Map<string, string>();
  const backwards = new Set<string>();
  const see = ({ id, status }: { id: string; status: string }) => {
    const before = lastSeen.get(id);
    if (before !== undefined && !open.has(before) && before !== status)
      backwards.add(`${id}: ${before}, then ${status}`);
    lastSeen.set(id, status);
  };

  return {
    port: sink.port,
    inFlight: () => inFlight,
    taken: () => taken,
    asked: () => asked,
    accepted: () => accepted,
    refusals: () => refusals,
    forget: () => {
      begin();
      [taken, asked, accepted] = [0, 0, 0];
    },
    handIn,
    load: async (postern, token, { clients, isOver }) => {
      const one = async () => {
        while (!isOver() && !isClosed) await handIn(postern, token);
      };
      await Promise.all(Array.from({ length: clients }, one));
    },
    watch: (postern, token) => {
      let isWatching = true;
      const watching = (async () => {
        while (isWatching && !isClosed) {
          const reply = await postern()
            .call('GET', '/emails?limit=100', { token })
            .catch(() => undefined);
          if (reply?.status === 200) reply.body.data.forEach(see);
          await sleep(100);
        }
      })();
      return {
        stop: () => {
          isWatching = false;
          return watching;
        },
      };
    },
    verdict: async (postern, token, seconds = 90) => {
      await waitFor(() => isQuiet(postern, token), {
        what: 'every letter to reach its end',
        seconds,
        detail: postern.output,
      });
      const asked = new Map(read<Asked>('asked').map((entry) => [entry.recipient, entry.hash]));
      const copies = new Map<string, Taken[]>();
      const unexpected: string[] = [];
      for (const entry of read<Taken>('taken')) {
        if (asked.get(entry.recipient) !== entry.hash) unexpected.push(JSON.stringify(entry));
        copies.set(entry.recipient, [...(copies.get(entry.recipient) ?? []), entry]);
      }
      const lost: string[] = [];
      const ids = read<{ id: string }>('accepted').map(({ id }) => id);
      let [duplicates, mostCopies, uncertain] = [0, 0, 0];
      for (const id of ids) {
        const { body } = await postern.call('GET', `/emails/${id}`, { token });
        see(body);
        const [recipient] = body.recipients;
        const came = copies.get(recipient.address) ?? [];
        const types = new Set<string>(body.events.map(({ type }: { type: string }) => type));
        if (types.has('email.uncertain')) uncertain++;
        const isTold = types.has(`email.${body.status}`);
        if (open.has(body.status) || !isTold || (body.status === 'sent' && came.length === 0)) {
          lost.push(`${id}: ${body.status}, ${came.length} came`);
        }
        for (const { messageId } of came) if (messageId !== body.message_id) unexpected.push(`${id} as ${messageId}`);
        duplicates += Math.max(0, came.length - 1);
        mostCopies = Math.max(mostCopies, came.length);
      }
      // The same key twice would be one letter accepted twice: two ids, two Message-IDs.
      if (new Set(ids).size !== ids.length) unexpected.push('an id was given twice');
      return { accepted: ids.length, lost, duplicates, mostCopies, uncertain, unexpected, backwards: [...backwards] };
    },
    close: async () => {
      isClosed = true;
      await sink.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Nothing lost, made up or taken back, and no letter doubled more often than something crashed. */
export function acquit(verdict: Verdict, { crashes }: { crashes: number }): void {
  const { lost, unexpected, backwards } = verdict;
  assert.deepEqual({ lost, unexpected, backwards }, { lost: [], unexpected: [], backwards: [] });
  assert.ok(verdict.mostCopies <= 1 + crashes, `${verdict.mostCopies} copies of one letter after ${crashes} crashes`);
}

function assertRefusal({ status, headers, text }: Reply): void {
  assert.ok(status === 503 || (status === 409 && text.includes('idempotency')), `${status} ${text}`);
  if (status === 503) assert.ok(headers.get('retry-after'), 'a 503 without Retry-After');
}

async function isQuiet(postern: Postern, token: string): Promise<boolean> {
  // Twice, since a letter may change from a status not yet asked for to one that was.
  for (const status of ['queued', 'sending', 'deferred', 'scheduled', 'queued', 'sending', 'deferred']) {
    const list = await postern.call('GET', `/emails?limit=1&status=${status}`, { token });
    if (list.status !== 200 || list.body.data.length > 0) return false;
  }
  return true;
}

function entryOf({ rcptTo, messageId = '', raw }: Received): Taken {
  const body = raw.slice(raw.indexOf('\r\n\r\n') + 4);
  return { recipient: rcptTo.join(' '), messageId, hash: hashOf(body) };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text.trim()).digest('hex');
}
