/** Many large letters at once: what they hold arrives to the octet, and memory does not grow with them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const mebibyte = 1024 * 1024;
// The promise is about 50; the suite has not the time for as many.
const count = Number(process.env.POSTERN_TEST_LARGE_LETTERS ?? 4);
// Each letter begins with octets of its own; their number divides by 3, so that base64 of the parts is base64 of the whole.
const ownSize = 3_000;
const shared = randomBytes(25 * mebibyte - ownSize - 100);
const sharedBase64 = Buffer.from(shared.toString('base64'));

const hashOf = (own: Buffer) => createHash('sha256').update(own).update(shared).digest('hex');

describe('large letters', () => {
  const arrived = new Map<string, string>();
  let postern: Postern;
  let token: string;
  let server: SMTPServer;
  before(async () => {
    server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      logger: false,
      onData: async (stream, _session, callback) => {
        const { subject, hash } = await readLetter(stream);
        arrived.set(subject, hash);
        callback();
      },
    });
    server.on('error', () => {});
    server.listen(0, '127.0.0.1');
    await once(server.server, 'listening');
    const { port } = server.server.address() as AddressInfo;
    postern = await startPostern({
      env: { SMTP_URL: `smtp://127.0.0.1:${port}`, POSTERN_ENV: 'development' },
    });
    const made = await postern.cli('clients', 'create', '--id', 'app', '--scope', 'email', '--json');
    const { body } = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    token = body.access_token;
  });
  after(async () => {
    await postern.dispose();
    await new Promise<void>((done) => server.close(done));
  });

  /** Reads subject and attachment of a message as it arrives: base64 lines are decoded one by one. */
  async function readLetter(stream: AsyncIterable<Buffer>): Promise<{ subject: string; hash: string }> {
    const hash = createHash('sha256');
    let subject = '';
    let rest = '';
    let state: 'head' | 'part' | 'content' | 'end' = 'head';
    for await (const chunk of stream) {
      const lines = (rest + chunk.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (state === 'head') subject ||= /^Subject: (.*)$/.exec(line)?.[1] ?? '';
        if (state === 'head' && /filename="?data\.bin/.test(line)) state = 'part';
        else if (state === 'part' && line === '') state = 'content';
        else if (state === 'content' && line.startsWith('--')) state = 'end';
        else if (state === 'content') hash.update(Buffer.from(line, 'base64'));
      }
    }
    return { subject, hash: hash.digest('hex') };
  }

  async function send(own: Buffer, subject: string): Promise<{ status: number | undefined; body: string }> {
    const json = JSON.stringify({
      to: 'ada@example.com',
      subject,
      text: 'Hi.',
      attachments: [{ filename: 'data.bin', content: '@' }],
    });
    const [head = '', tail = ''] = json.split('@"').map((part, index) => (index === 0 ? part : `"${part}`));
    const parts = [Buffer.from(head + own.toString('base64')), sharedBase64, Buffer.from(tail)];
    const call = request(`${postern.url}/emails`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': parts.reduce((sum, { length }) => sum + length, 0),
      },
    });
    for (const part of parts) call.write(part);
    call.end();
    const [response] = await once(call, 'response');
    return { status: response.statusCode, body: await text(response) };
  }

  const memory = async (name: 'VmHWM' | 'VmRSS') => {
    const status = await readFile(`/proc/${postern.process.pid}/status`, 'utf8');
    return Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024);
  };

  it(`of 25 MiB, ${count} at once, are accepted and delivered as they were, in bounded memory`, async (t) => {
    const letters = Array.from({ length: count }, (_, i) => ({ subject: `letter ${i}`, own: randomBytes(ownSize) }));
    const startedAt = performance.now();
    const waits: number[] = [];
    const pinging = setInterval(async () => {
      const askedAt = performance.now();
      await postern.call('GET', '/livez');
      waits.push(performance.now() - askedAt);
    }, 25);
    t.after(() => clearInterval(pinging));
    const answers = await Promise.all(letters.map(({ own, subject }) => send(own, subject)));
    t.diagnostic(`accepted within ${Math.round(performance.now() - startedAt)} ms`);
    for (const { status, body } of answers) assert.equal(status, 202, body);
    await waitFor(() => arrived.size === count, { what: 'the letters', seconds: 180, detail: postern.output });
    clearInterval(pinging);
    waits.sort((a, b) => a - b);
    const [half, most, all] = [0.5, 0.99, 1].map((part) => Math.round(waits[Math.ceil(waits.length * part) - 1] ?? 0));
    t.diagnostic(
      `meanwhile ${waits.length} other requests took ${half} ms at the median, ${most} at p99, ${all} at most`,
    );
    for (const { own, subject } of letters) assert.equal(arrived.get(subject), hashOf(own), subject);
    t.diagnostic(`all delivered after ${Math.round(performance.now() - startedAt)} ms`);
    if (process.platform === 'linux') {
      const peak = await memory('VmHWM');
      t.diagnostic(`peak of resident memory: ${peak} MiB`);
      assert.ok(peak < 500, `${peak} MiB`);
    }
  });
});
