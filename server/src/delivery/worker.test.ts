import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import PostalMime from 'postal-mime';
import { testDatabase } from '../../test/support/database.ts';
import { aMessage } from '../../test/support/message.ts';
import { Refusal, startSink } from '../../test/support/smtp-sink.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { makeDkimKeyring } from '../domains/dkim-keyring.ts';
import type { NewEmail } from '../emails/email.ts';
import { findDetail } from '../emails/history-store.ts';
import { submitEmails } from '../emails/submit.ts';
import { PostgresQueue } from '../queue/postgres.ts';
import { SmtpTransport } from '../transport/smtp.ts';
import { startMailWorker } from './worker.ts';

const secrets = makeSecrets([Buffer.alloc(32, 7)]);
/** What the workers say. */
const logged: string[] = [];
const log = pino({ level: 'info' }, { write: (line) => logged.push(line) });
const tenantId = randomUUID();

describe('a mail worker', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let dataDir: string;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'postern-test-'));
    database = await testDatabase();
    db = database.db;
  });
  after(async () => {
    await database.close();
    await rm(dataDir, { recursive: true });
  });
  // The same addresses bounce in several tests.
  beforeEach(() => db`DELETE FROM suppressions`);

  const submit = async (...emails: Partial<NewEmail>[]) =>
    submitEmails(
      { secrets, messageIdHost: 'postern.test' },
      db,
      emails.map((email) => ({
        tenantId,
        from: { address: 'no-reply@example.com' },
        to: [{ address: 'ada@example.com' }],
        subject: 'Hello',
        text: 'Hi.',
        lane: 'transactional',
        ...email,
      })),
    );
  const startWorker = (urls: string[], folder = dataDir) =>
    startMailWorker({
      db,
      queue: new PostgresQueue({ db, log }),
      transport: new SmtpTransport({ urls }),
      secrets,
      log,
      dataDir: folder,
      publicUrl: 'http://localhost:3000',
      findDkimKeys: makeDkimKeyring({
        db,
        secrets,
        mailFrom: { address: 'no-reply@example.com', tenantSlug: 'default' },
      }),
    });
  const detail = async (id: string) => {
    const found = await findDetail(db, { tenantId, submittedBy: null }, id);
    if (!found) throw new Error('no such email');
    return found;
  };
  const untilStatus = (id: string, status: string) =>
    waitFor(
      async () => {
        const found = await detail(id);
        return found.status === status && found;
      },
      { what: `${id} to be ${status}` },
    );
  const makeDue = (id: string) => db`UPDATE email_queue SET run_at = now() WHERE email_id = ${id}`;

  it('delivers what is due, with the Message-ID and Date of acceptance', async () => {
    const sink = await startSink();
    const [email] = await submit({ to: [{ address: 'ada@example.com', name: 'Ada' }], html: '<p>Hi.</p>' });
    assert.ok(email);
    const worker = startWorker([sink.url]);
    const sent = await untilStatus(email.id, 'sent');
    assert.equal(sink.received.length, 1);
    assert.equal(sink.received[0]?.messageId, email.messageId);
    assert.match(
      sink.received[0]?.raw ?? '',
      new RegExp(`^Date: ${email.createdAt.toUTCString().replace('GMT', '\\+0000')}`, 'm'),
    );
    assert.deepEqual(sent.recipients[0]?.last_reply?.code, 250);
    assert.deepEqual(
      sent.events.map(({ type }) => type),
      ['email.queued', 'email.sent'],
    );
    await worker.stop();
    await sink.close();
  });

  it('tries only the 451 of 250, 451 and 550 again (F15)', async () => {
    let isBusy = true;
    const sink = await startSink({
      onRecipient: (address) => {
        if (address === 'busy@example.com' && isBusy) throw new Refusal(451, '4.7.1 later');
        if (address === 'gone@example.com') throw new Refusal(550, '5.1.1 no such user');
      },
    });
    const worker = startWorker([sink.url]);
    const [email] = await submit({
      to: [{ address: 'ok@example.com' }, { address: 'busy@example.com' }],
      cc: [{ address: 'gone@example.com' }],
    });
    assert.ok(email);
    worker.wake();
    const first = await untilStatus(email.id, 'deferred');
    assert.deepEqual(
      first.recipients.map(({ status }) => status),
      ['sent', 'deferred', 'bounced'],
    );
    assert.equal(first.recipients[2]?.last_reply?.enhanced, '5.1.1');
    assert.ok(first.recipients[1]?.next_attempt_at);
    isBusy = false;
    await makeDue(email.id);
    worker.wake();
    const second = await untilStatus(email.id, 'bounced');
    assert.deepEqual(
      second.recipients.map(({ status, attempts }) => [status, attempts]),
      [
        ['sent', 1],
        ['sent', 2],
        ['bounced', 1],
      ],
    );
    assert.deepEqual(
      sink.received.map(({ rcptTo }) => rcptTo),
      [['ok@example.com'], ['busy@example.com']],
    );
    assert.equal(sink.received[0]?.messageId, sink.received[1]?.messageId);
    await worker.stop();
    await sink.close();
  });

  it('takes 5xx for the end: bounced where a recipient was refused, failed where the message was (F14)', async () => {
    const sink = await startSink({
      onRecipient: (address) => {
        if (address === 'gone@example.com') throw new Refusal(550, '5.1.1 no such user');
      },
      onMessage: () => {
        throw new Refusal(554, '5.6.0 no such content');
      },
    });
    const worker = startWorker([sink.url]);
    const [bounced, failed] = await submit({ to: [{ address: 'gone@example.com' }] }, {});
    assert.ok(bounced && failed);
    worker.wake();
    const first = await untilStatus(bounced.id, 'bounced');
    assert.deepEqual(first.recipients[0]?.last_reply, { code: 550, enhanced: '5.1.1', text: 'no such user' });
    const second = await untilStatus(failed.id, 'failed');
    assert.equal(second.recipients[0]?.last_reply?.code, 554);
    assert.equal((await db`SELECT FROM email_queue`).length, 0);
    await worker.stop();
    await sink.close();
  });

  it('keeps a connection that a letter was refused on', async () => {
    let connections = 0;
    const sink = await startSink({
      onRecipient: (address) => {
        if (address.startsWith('gone')) throw new Refusal(550, '5.1.1 no such user');
      },
    });
    const proxy = createServer((socket) => {
      connections++;
      socket.pipe(connect(sink.port, '127.0.0.1')).pipe(socket);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const transport = new SmtpTransport({ urls: [`smtp://127.0.0.1:${portOf(proxy)}`] });
    const send = async (address: string) =>
      (await transport.send(aMessage({ recipients: [address] }))).results[0]?.outcome;
    assert.equal(await send('gone@example.com'), 'bounced');
    assert.equal(await send('ada@example.com'), 'sent');
    assert.equal(await send('gone2@example.com'), 'bounced');
    assert.equal(await send('ada@example.com'), 'sent');
    assert.equal(connections, 1);
    await transport.close();
    proxy.close();
    await sink.close();
  });

  it('waits for a relay that is down, and sends with the same Message-ID once it is up', async () => {
    const gone = await startSink();
    await gone.close();
    const worker = startWorker([gone.url]);
    const [email] = await submit({});
    assert.ok(email);
    worker.wake();
    const waiting = await untilStatus(email.id, 'deferred');
    assert.equal(waiting.recipients[0]?.last_reply?.code, null);
    assert.match(waiting.recipients[0]?.last_reply?.text ?? '', /ECONNREFUSED/);
    await worker.stop();

    const sink = await startSink({ port: gone.port });
    const next = startWorker([gone.url]);
    await untilStatus(email.id, 'sent');
    assert.deepEqual(
      sink.received.map(({ messageId }) => messageId),
      [email.messageId],
    );
    await next.stop();
    await sink.close();
  });

  it('takes the next relay where the first cannot be reached', async () => {
    const gone = await startSink();
    await gone.close();
    const sink = await startSink();
    const worker = startWorker([gone.url, sink.url]);
    const [email] = await submit({});
    assert.ok(email);
    worker.wake();
    await untilStatus(email.id, 'sent');
    await worker.stop();
    await sink.close();
  });

  it('shares the work with another worker, and nothing is sent twice', async () => {
    const sink = await startSink();
    const emails = await submit(...Array.from({ length: 600 }, (_, i) => ({ subject: `letter ${i}` })));
    const workers = [startWorker([sink.url]), startWorker([sink.url])];
    await waitFor(async () => (await db`SELECT FROM email_queue`).length === 0, { what: 'an empty queue' });
    await Promise.all(workers.map((worker) => worker.stop()));
    const ids = sink.received.map(({ messageId }) => messageId);
    assert.equal(ids.length, emails.length);
    assert.equal(new Set(ids).size, emails.length);
    await sink.close();
  });

  it('writes nothing about a letter whose lease has passed to another (F9)', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let arrived = 0;
    const sink = await startSink({ onMessage: () => (++arrived === 1 ? held : undefined) });
    const slow = startWorker([sink.url]);
    const [email] = await submit({});
    assert.ok(email);
    slow.wake();
    await waitFor(() => arrived === 1, { what: 'the first delivery' });
    // As if the first had been stopped past the end of its lease.
    await makeDue(email.id);
    const fast = startWorker([sink.url]);
    await untilStatus(email.id, 'sent');
    release();
    await slow.stop();
    await fast.stop();
    const { recipients, events } = await detail(email.id);
    assert.equal(recipients[0]?.attempts, 1);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['email.queued', 'email.sent'],
    );
    assert.equal(new Set(sink.received.map(({ messageId }) => messageId)).size, 1);
    await sink.close();
  });

  it('prolongs the lease of a letter that the relay is slow to take', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sink = await startSink({ onMessage: () => held });
    const worker = startWorker([sink.url]);
    const [email] = await submit({ lane: 'otp' });
    worker.wake();
    const lease = async () => {
      const [row] = await db`SELECT run_at, lease_token FROM email_queue WHERE email_id = ${email?.id ?? ''}`;
      return row?.lease_token ? { endsAt: Number(row.run_at), token: row.lease_token } : undefined;
    };
    const first = await waitFor(lease, { what: 'the lease' });
    const later = await waitFor(
      async () => {
        const now = await lease();
        return now && now.endsAt > first.endsAt && now;
      },
      { what: 'a longer lease' },
    );
    assert.equal(later.token, first.token);
    release();
    await untilStatus(email?.id ?? '', 'sent');
    await worker.stop();
    await sink.close();
  });

  it('finishes what is in flight when it is stopped, and gives back the rest', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let arrived = 0;
    const sink = await startSink({
      onMessage: async () => {
        arrived++;
        await held;
      },
    });
    const emails = await submit(...Array.from({ length: 50 }, (_, i) => ({ to: [{ address: `ada@${i}.example` }] })));
    const worker = startWorker([sink.url]);
    await waitFor(() => arrived === 20, { what: 'every slot to be in use' });
    const stopped = worker.stop();
    await waitFor(async () => (await db`SELECT FROM email_queue WHERE lease_token IS NULL`).length === 30, {
      what: 'the rest to be given back',
    });
    release();
    await stopped;
    assert.equal(sink.received.length, 20);
    const left = await db`SELECT claims FROM email_queue WHERE run_at <= now()`;
    assert.deepEqual([left.length, left[0]?.claims], [emails.length - 20, 0]);
    await db`DELETE FROM email_queue`;
    await sink.close();
  });

  it('takes a code and a transactional letter although bulk mail fills all that it may, and stays', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let arrived = 0;
    const sink = await startSink({
      onMessage: async ({ rcptTo }) => {
        arrived++;
        if (rcptTo[0]?.startsWith('ada@')) await held;
      },
    });
    await submit(
      ...Array.from({ length: 300 }, (_, i) => ({ lane: 'bulk' as const, to: [{ address: `ada@${i}.example` }] })),
    );
    const worker = startWorker([sink.url]);
    await waitFor(() => arrived >= 16, { what: "bulk mail's slots to be in use" });
    const urgent = await submit(
      { lane: 'otp', to: [{ address: 'code@example.com' }] },
      { to: [{ address: 'other@example.com' }] },
    );
    worker.wake();
    for (const { id } of urgent) await untilStatus(id, 'sent');
    release();
    await worker.stop();
    await db`DELETE FROM email_queue`;
    await sink.close();
  });

  it('leaves a destination that defers everything to rest, and sends to the others meanwhile', async () => {
    let isBusy = true;
    const sink = await startSink({
      onRecipient: (address) => {
        if (address.endsWith('@busy.example') && isBusy) throw new Refusal(451, '4.3.0 not now');
      },
    });
    const busy = await submit(...Array.from({ length: 60 }, () => ({ to: [{ address: 'ada@busy.example' }] })));
    const free = await submit(...Array.from({ length: 20 }, () => ({ to: [{ address: 'ada@free.example' }] })));
    const worker = startWorker([sink.url]);
    for (const { id } of free) await untilStatus(id, 'sent');
    for (const { id } of busy) await untilStatus(id, 'deferred');
    const found = await Promise.all(busy.map(({ id }) => detail(id)));
    const putOff = found.filter(({ recipients }) => recipients[0]?.attempts === 0);
    assert.ok(putOff.length >= 20, `${putOff.length} were put off`);
    for (const { recipients, events } of putOff) {
      assert.match(recipients[0]?.last_reply?.text ?? '', /^busy\.example defers.*451 4\.3\.0 not now/);
      assert.ok(new Date(recipients[0]?.next_attempt_at ?? 0) > new Date(Date.now() + 10_000));
      assert.deepEqual(
        events.map(({ type }) => type),
        ['email.queued'],
      );
    }
    const [row] = await db`SELECT max(attempts) AS most, min(attempts) AS least FROM email_queue`;
    assert.deepEqual({ ...row }, { most: 1, least: 0 });
    isBusy = false;
    await worker.stop();
    await db`UPDATE email_queue SET run_at = now()`;
    const next = startWorker([sink.url]);
    for (const { id } of busy) await untilStatus(id, 'sent');
    await next.stop();
    await sink.close();
  });

  it('does not let letters to a destination that dawdles keep others waiting', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sink = await startSink({
      onMessage: async ({ rcptTo }) => {
        if (rcptTo[0]?.endsWith('@slow.example')) await held;
      },
    });
    await submit(...Array.from({ length: 300 }, () => ({ to: [{ address: 'ada@slow.example' }] })));
    const others = await submit(...Array.from({ length: 50 }, () => ({ to: [{ address: 'ada@free.example' }] })));
    const worker = startWorker([sink.url]);
    for (const { id } of others) await untilStatus(id, 'sent');
    release();
    await worker.stop();
    await sink.close();
    await db`DELETE FROM email_queue`;
  });

  it('F10 does not let several that dawdle, together as many as it has slots, keep others waiting', async () => {
    let holding = 0;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const sink = await startSink({
      onMessage: async ({ rcptTo }) => {
        if (!rcptTo[0]?.includes('@slow')) return;
        holding++;
        await held;
      },
    });
    const slow = Array.from({ length: 80 }, (_, i) => ({ to: [{ address: `ada@slow${i % 2}.example` }] }));
    await submit(...slow);
    const worker = startWorker([sink.url]);
    await waitFor(() => holding >= 20, { what: 'the slow ones to fill the slots' });
    const others = await submit(...Array.from({ length: 20 }, () => ({ to: [{ address: 'ada@free.example' }] })));
    worker.wake();
    for (const { id } of others) await untilStatus(id, 'sent');
    release();
    await worker.stop();
    await sink.close();
    await db`DELETE FROM email_queue`;
  });

  it('tries those again for whom there was no room in the transaction (RFC 5321 4.5.3.1.10)', async () => {
    let taken = 0;
    const sink = await startSink({
      onRecipient: () => {
        if (++taken === 2) throw new Refusal(552, '5.5.3 too many recipients');
      },
    });
    const worker = startWorker([sink.url]);
    const [email] = await submit({ to: [{ address: 'a@example.com' }, { address: 'b@example.com' }] });
    worker.wake();
    const found = await untilStatus(email?.id ?? '', 'deferred');
    assert.deepEqual(
      found.recipients.map(({ status }) => status),
      ['sent', 'deferred'],
    );
    await makeDue(email?.id ?? '');
    worker.wake();
    await untilStatus(email?.id ?? '', 'sent');
    await worker.stop();
    await sink.close();
  });

  it('starts no delivery while the journal cannot be written', async () => {
    const sink = await startSink();
    const folder = await mkdtemp(join(tmpdir(), 'postern-test-'));
    const worker = startWorker([sink.url], folder);
    const [first] = await submit({});
    worker.wake();
    await untilStatus(first?.id ?? '', 'sent');
    await rm(join(folder, 'journal'), { recursive: true });
    await writeFile(join(folder, 'journal'), '');
    await waitFor(() => logged.some((line) => line.includes('journal of outcomes cannot be written')), {
      what: 'the fault to be noticed',
    });
    const [second] = await submit({});
    worker.wake();
    assert.equal((await detail(second?.id ?? '')).status, 'queued');
    await rm(join(folder, 'journal'));
    await mkdir(join(folder, 'journal'));
    await untilStatus(second?.id ?? '', 'sent');
    assert.ok(logged.some((line) => line.includes('can be written again')));
    await worker.stop();
    await sink.close();
    await rm(folder, { recursive: true });
  });

  it('lets a letter expire', async () => {
    const [email] = await submit({ expiresAt: new Date(Date.now() + 1) });
    assert.ok(email);
    const worker = startWorker(['smtp://127.0.0.1:1']);
    const expired = await untilStatus(email.id, 'expired');
    assert.deepEqual(
      expired.recipients.map(({ status, attempts }) => [status, attempts]),
      [['expired', 0]],
    );
    assert.equal(expired.events.at(-1)?.type, 'email.expired');
    await worker.stop();
  });

  it('quarantines a letter that was claimed again and again without an outcome (F16)', async () => {
    const sink = await startSink();
    const [email] = await submit({});
    assert.ok(email);
    await db`UPDATE email_queue SET claims = 5 WHERE email_id = ${email.id}`;
    const worker = startWorker([sink.url]);
    const failed = await untilStatus(email.id, 'failed');
    assert.match(String(failed.events.at(-1)?.data?.reason), /^poison/);
    assert.equal(sink.received.length, 0);
    await worker.stop();
    await sink.close();
  });

  it('keeps codes out of stored history, and sends them', async () => {
    const sink = await startSink();
    const [email] = await submit({
      lane: 'otp',
      subject: '0042 is your code',
      text: 'Your code is 0042. Or open https://x.example/verify?token=abc0042def',
      redacted: { subject: '••• is your code', text: 'Your code is •••. Or open •••' },
    });
    assert.ok(email);
    const stored = await detail(email.id);
    assert.equal(stored.subject, '••• is your code');
    assert.equal(stored.text, 'Your code is •••. Or open •••');
    const worker = startWorker([sink.url]);
    await untilStatus(email.id, 'sent');
    assert.match(sink.received[0]?.raw ?? '', /^Subject: 0042 is your code/m);
    assert.match(sink.received[0]?.raw ?? '', /token=3Dabc0042def|token=abc0042def/);
    const [body] = await db`SELECT sealed FROM email_bodies WHERE email_id = ${email.id}`;
    assert.equal(body?.sealed, null);
    await worker.stop();
    await sink.close();
  });

  it('leaves Bcc out of the message, and says so where there is nobody else', async () => {
    const sink = await startSink();
    const [both, alone] = await submit(
      { bcc: [{ address: 'secret@example.com' }] },
      { to: [], bcc: [{ address: 'secret@example.com' }] },
    );
    assert.ok(both && alone);
    const worker = startWorker([sink.url]);
    await untilStatus(both.id, 'sent');
    await untilStatus(alone.id, 'sent');
    const raw = (id: string) => sink.received.find(({ messageId }) => messageId === id);
    assert.deepEqual(raw(both.messageId)?.rcptTo, ['ada@example.com', 'secret@example.com']);
    for (const { raw } of sink.received) assert.doesNotMatch(raw, /secret|^bcc/im);
    assert.match(raw(alone.messageId)?.raw ?? '', /^To: undisclosed-recipients:;\r$/m);
    await worker.stop();
    await sink.close();
  });

  it('writes every given text as one encoded header (S43)', async () => {
    const sink = await startSink();
    const name = 'Zoë "The, Boss" <x@evil> \\\\';
    const subject = `Grüße ${'ünïcode '.repeat(60)}=?utf-8?q?x?= \t end`;
    const [email] = await submit({
      from: { address: 'no-reply@example.com', name },
      to: [{ address: 'info@xn--mnchen-3ya.example', name: 'a@evil.example, b' }],
      replyTo: [{ address: 'replies@example.com', name }],
      subject,
      headers: { 'X-Note': `ö ${'long '.repeat(150)}`, References: '<a@b> <c@d>' },
    });
    assert.ok(email);
    const worker = startWorker([sink.url]);
    await untilStatus(email.id, 'sent');
    const [received] = sink.received;
    // The sink shows A-labels as the letters they stand for.
    assert.deepEqual(received?.rcptTo, ['info@münchen.example']);
    const parsed = await PostalMime.parse(received?.raw ?? '');
    assert.deepEqual(parsed.from, { address: 'no-reply@example.com', name });
    assert.deepEqual(parsed.to, [{ address: 'info@xn--mnchen-3ya.example', name: 'a@evil.example, b' }]);
    assert.deepEqual(parsed.replyTo, [{ address: 'replies@example.com', name }]);
    assert.equal(parsed.subject?.replaceAll(/\s+/g, ' '), subject.replaceAll(/\s+/g, ' '));
    assert.deepEqual(parsed.headers.map(({ key }) => key).sort(), [
      'content-transfer-encoding',
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'references',
      'reply-to',
      'subject',
      'to',
      'x-note',
    ]);
    await worker.stop();
    await sink.close();
  });

  it('folds what is long, and lets nothing that was given pass for an encoded word', async () => {
    const sink = await startSink();
    const subjects = [
      'x'.repeat(998),
      '=?utf-8?q?=0d=0aBcc:_x@evil?=',
      `${'y'.repeat(200)} and words`,
      '😀'.repeat(400),
    ];
    await submit(...subjects.map((subject) => ({ subject })));
    const worker = startWorker([sink.url]);
    await waitFor(() => sink.received.length === subjects.length, { what: 'the letters' });
    const parsed = await Promise.all(sink.received.map(({ raw }) => PostalMime.parse(raw)));
    assert.deepEqual(new Set(parsed.map(({ subject }) => subject)), new Set(subjects));
    for (const { raw } of sink.received) assert.doesNotMatch(raw.split('\r\n\r\n')[0] ?? '', /^.{79}/m);
    await worker.stop();
    await sink.close();
  });

  it('writes down a long reply, cut between characters', async () => {
    const sink = await startSink({
      onMessage: () => {
        throw new Refusal(550, `5.7.1 ${'x'.repeat(989)}${'😀'.repeat(50)}`);
      },
    });
    const [email] = await submit({});
    const worker = startWorker([sink.url]);
    const failed = await untilStatus(email?.id ?? '', 'failed');
    assert.match(failed.recipients[0]?.last_reply?.text ?? '', /^x{989}😀{5}/u);
    await worker.stop();
    await sink.close();
  });

  it('sends bodies that look like the end of a message as one message (S44)', async () => {
    const sink = await startSink();
    const text = 'a\n.\nb\r.\rc\r\n.\r\nMAIL FROM:<x@evil>\n..\n.\n';
    const [email] = await submit({ text, html: text });
    assert.ok(email);
    const worker = startWorker([sink.url]);
    await untilStatus(email.id, 'sent');
    const [received] = sink.received;
    assert.equal(sink.received.length, 1);
    assert.doesNotMatch(received?.raw ?? '', /[^\r]\n|\r[^\n]/);
    const parsed = await PostalMime.parse(received?.raw ?? '');
    assert.equal(parsed.text?.trim(), text.replaceAll(/\r\n?/g, '\n').trim());
    await worker.stop();
    await sink.close();
  });

  for (const [policy, status] of [
    ['retry', 'deferred'],
    ['hold', 'uncertain'],
  ] as const) {
    it(`with on_uncertain=${policy} makes a cut after the final dot ${status} (F13)`, async () => {
      const server = await startScriptedServer((line, socket) => {
        if (line === '.') socket.destroy();
      });
      const worker = startWorker([server.url]);
      const [email] = await submit({ onUncertain: policy });
      assert.ok(email);
      worker.wake();
      const found = await untilStatus(email.id, status);
      assert.equal(found.events.at(-1)?.type, 'email.uncertain');
      await worker.stop();
      await server.close();
      await db`DELETE FROM email_queue`;
    });
  }

  it('defers when the connection is cut before the message (F12)', async () => {
    const server = await startScriptedServer((line, socket) => {
      if (line === 'DATA') socket.destroy();
    });
    const worker = startWorker([server.url]);
    const [email] = await submit({ onUncertain: 'hold' });
    assert.ok(email);
    worker.wake();
    const found = await untilStatus(email.id, 'deferred');
    assert.equal(found.events.at(-1)?.type, 'email.delivery_delayed');
    await worker.stop();
    await server.close();
    await db`DELETE FROM email_queue`;
  });

  it('uses a new connection where the relay has closed the kept one', async () => {
    const sockets = new Set<Socket>();
    const server = await startScriptedServer(() => {}, sockets);
    const transport = new SmtpTransport({ urls: [server.url] });
    const message = aMessage();
    assert.equal((await transport.send(message)).results[0]?.outcome, 'sent');
    for (const socket of sockets) socket.destroy();
    assert.equal((await transport.send(message)).results[0]?.outcome, 'sent');
    await transport.close();
    await server.close();
  });
});

/** An SMTP server that accepts everything, unless `onLine` does something to the socket first. */
async function startScriptedServer(onLine: (line: string, socket: Socket) => void, sockets = new Set<Socket>()) {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.write('220 test\r\n');
    let isData = false;
    createInterface(socket).on('line', (line) => {
      onLine(line, socket);
      if (socket.destroyed || (isData && line !== '.')) return;
      isData = line === 'DATA';
      socket.write(isData ? '354 go on\r\n' : '250 ok\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `smtp://127.0.0.1:${portOf(server)}`,
    close: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
