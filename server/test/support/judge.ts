/**
 * The judge of crashes: the client keeps every id it got a 202 for, the sink keeps a letter before it answers 250. What
 * was accepted must arrive, and under the Message-ID of its acceptance.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Sink, startSink } from './smtp-sink.ts';
import type { Postern } from './start-postern.ts';
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

export interface BusySink extends Sink {
  /** Letters begun, their 250 not yet sent. */
  inFlight: () => number;
}

/** A sink slow enough that at any moment some letters are between DATA and 250, and some between 250 and their commit. */
export async function startBusySink(): Promise<BusySink> {
  let inFlight = 0;
  const sink = await startSink({
    onMessage: async () => {
      inFlight++;
      await sleep(30);
      inFlight--;
    },
  });
  return { ...sink, inFlight: () => inFlight };
}

interface Verdict {
  /** How many copies came of each accepted letter. */
  copies: number[];
  /** Messages that came and are none of them. */
  others: number;
}

/** Waits until no letter waits any more, and counts. */
export async function judge(postern: Postern, token: string, sink: Sink, ids: string[]): Promise<Verdict> {
  const count = async (status: string) => {
    const list = await postern.call('GET', `/emails?limit=1&status=${status}`, { token });
    return list.status === 200 ? list.body.data.length : 1;
  };
  await waitFor(async () => (await count('queued')) + (await count('sending')) + (await count('deferred')) === 0, {
    what: 'every letter to reach its end',
    seconds: 60,
    detail: postern.output,
  });
  const arrived = new Map<string, number>();
  for (const { messageId = '' } of sink.received) arrived.set(messageId, (arrived.get(messageId) ?? 0) + 1);
  const copies = [];
  for (const id of ids) {
    const { body } = await postern.call('GET', `/emails/${id}`, { token });
    assert.equal(body.status, 'sent');
    copies.push(arrived.get(body.message_id) ?? 0);
    arrived.delete(body.message_id);
  }
  return { copies, others: arrived.size };
}
