import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createTransport } from 'nodemailer';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { connectDatabase, type Database } from '../database/database.ts';
import { type Inbox, startInbox } from './smtp.ts';
import { deleteMessages, findSource, listMessages } from './store.ts';

const log = pino({ level: 'silent' });

describe('the SMTP server of the dev inbox', () => {
  let db: Database;
  let url: string;
  let closeDatabase: () => Promise<void>;
  let inbox: Inbox;

  before(async () => {
    ({ db, url, close: closeDatabase } = await testDatabase());
    inbox = await startInbox({ db, log, port: 0 });
  });
  after(async () => {
    await inbox.close();
    await closeDatabase();
  });

  const transport = (options: object = {}) => createTransport({ host: '127.0.0.1', port: inbox.port, ...options });

  it('has stored a message when it answers 250', async () => {
    await transport().sendMail({
      from: 'Jürgen Ö. <juergen@example.com>',
      to: 'Ann@example.com, bob@bücher.example',
      subject: 'Grüße 👋',
      text: 'Hello\n.\nend',
      html: '<p>Hello</p>',
    });
    const [message] = await listMessages(db, { limit: 1 });
    assert.equal(message?.from, 'Jürgen Ö. <juergen@example.com>');
    assert.deepEqual(message.to, ['Ann@example.com', 'bob@xn--bcher-kva.example']);
    assert.equal(message.subject, 'Grüße 👋');
    assert.match(message.text ?? '', /^Hello\n\.\nend\s*$/);
    assert.match(message.html ?? '', /^<p>Hello<\/p>\s*$/);
    assert.match(String(await findSource(db, message.id)), /^From: .*\r\n(.*\r\n)*\r\n/);
  });

  it('takes any credential', async () => {
    for (const method of ['PLAIN', 'LOGIN', 'CRAM-MD5']) {
      const auth = { user: 'anyone', pass: 'anything' };
      await transport({ auth, authMethod: method }).sendMail({ from: 'a@b.example', to: `${method}@c.example` });
      assert.equal((await listMessages(db, { to: `${method}@c.example`, limit: 1 })).length, 1);
    }
  });

  it('keeps what is no proper mail at all, with NUL bytes and binary rubbish', async () => {
    const raw = Buffer.from([0x53, 0x75, 0x62, 0x3a, 0, 1, 0xff, 0xfe, 13, 10, 13, 10, 0, 0x80, 13, 10]);
    await transport().sendMail({ envelope: { from: '', to: 'rubbish@example.com' }, raw });
    const [message] = await listMessages(db, { to: 'RUBBISH@example.com', limit: 1 });
    assert.equal(message?.subject, '');
    assert.equal(message.from, '');
    assert.deepEqual(await findSource(db, message.id), raw);
  });

  it('shows sender and subject of what is nested or headed beyond reason', async () => {
    const nested = Array.from(
      { length: 1_000 },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`,
    );
    const headed = Array.from({ length: 50_000 }, (_, i) => `X-${i}: ${'x'.repeat(50)}\r\n`);
    for (const [to, rest] of Object.entries({ 'nested@example.com': nested, 'headed@example.com': headed })) {
      const raw = `From: Ann <a@b.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n${rest.join('')}\r\nx\r\n`;
      await transport().sendMail({ envelope: { from: 'env@b.example', to }, raw });
      const [message] = await listMessages(db, { to, limit: 1 });
      assert.deepEqual([message?.from, message?.subject, message?.text], ['Ann <a@b.example>', 'Grüße', null]);
    }
  });

  it('takes pipelined messages on one connection, in their order', async () => {
    const mails = [1, 2, 3].map(
      (n) => `MAIL FROM:<a@b.example>\r\nRCPT TO:<pipe@example.com>\r\nDATA\r\nSubject: ${n}\r\n\r\n${n}\r\n.\r\n`,
    );
    const said = await converse(inbox.port, `EHLO me\r\n${mails.join('')}QUIT\r\n`);
    assert.equal(said.match(/^250 .*kept in the inbox/gm)?.length, 3, said);
    const stored = await listMessages(db, { to: 'pipe@example.com', limit: 10 });
    assert.deepEqual(
      stored.map(({ subject }) => subject),
      ['3', '2', '1'],
    );
  });

  it('does not end a message at a bare line feed, nor lose its leading dots', async () => {
    const data = 'Subject: dots\r\n\r\n..first\r\na\n.\nb\r\n.\r\n';
    await converse(
      inbox.port,
      `EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<dots@example.com>\r\nDATA\r\n${data}QUIT\r\n`,
    );
    const [message] = await listMessages(db, { to: 'dots@example.com', limit: 2 });
    assert.equal(String(await findSource(db, message?.id ?? '')), 'Subject: dots\r\n\r\n.first\r\na\n.\nb\r\n');
  });

  it('says how large a message may be and refuses a larger one', async () => {
    const said = await converse(inbox.port, 'EHLO me\r\nMAIL FROM:<a@b.example> SIZE=60000000\r\nQUIT\r\n');
    assert.match(said, /^250[- ]SIZE 52428800/m);
    assert.match(said, /^552 /m);
  });

  it('keeps the newest 1,000 of a burst over many connections', async () => {
    await deleteMessages(db);
    const pool = transport({ pool: true, maxConnections: 20, maxMessages: Number.POSITIVE_INFINITY });
    const numbers = Array.from({ length: 1_150 }, (_, n) => n);
    await Promise.all(
      numbers.map((n) => pool.sendMail({ from: 'a@b.example', to: `n${n}@example.com`, subject: `${n}` })),
    );
    pool.close();
    await transport().sendMail({ from: 'a@b.example', to: 'last@example.com', subject: 'last' });
    const kept = await waitFor(
      async () => {
        const found = await listMessages(db, { limit: 2_000 });
        return found.length === 1_000 && found;
      },
      { what: 'the oldest to go' },
    );
    assert.equal(kept[0]?.subject, 'last');
    const ids = kept.map(({ id }) => id);
    assert.deepEqual(ids, ids.toSorted().reverse());
  });

  it('asks the sender to try again while the database is away', async () => {
    const away = connectDatabase(url, { max: 2, name: 'postern test away' });
    const other = await startInbox({ db: away, log, port: 0 });
    await away.end();
    const mail = createTransport({ host: '127.0.0.1', port: other.port });
    await assert.rejects(mail.sendMail({ from: 'a@b.example', to: 'c@d.example' }), { responseCode: 451 });
    await other.close();
  });

  it('uses the inbox of another Postern on the same database, and takes its place when it goes', async () => {
    const first = await startInbox({ db, log, port: 0 });
    const second = await startInbox({ db, log, port: first.port });
    assert.equal(second.port, first.port);
    await first.close();
    const mail = createTransport({ host: '127.0.0.1', port: second.port });
    await waitFor(() => mail.sendMail({ from: 'a@b.example', to: 'heir@example.com' }), {
      what: 'the second inbox to listen',
      retryOn: () => true,
    });
    await second.close();
  });

  it('says what to do when another program has its port', async () => {
    const stranger = createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n')).listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const address = stranger.address();
    assert.ok(address !== null && typeof address === 'object');
    await assert.rejects(startInbox({ db, log, port: address.port }), /INBOX_PORT/);
    stranger.close();
  });

  it('does not take the inbox of another database for its own', async () => {
    const other = await testDatabase();
    try {
      await assert.rejects(startInbox({ db: other.db, log, port: inbox.port }), /INBOX_PORT/);
    } finally {
      await other.close();
    }
  });

  it('closes at once beside an idle connection, and tells it', async () => {
    const closing = await startInbox({ db, log, port: 0 });
    const socket = connect(closing.port, '127.0.0.1');
    const said = collect(socket);
    await waitFor(() => said().startsWith('220'), { what: 'the greeting' });
    await closing.close();
    await waitFor(() => /^421 /m.test(said()), { what: 'the goodbye' });
    socket.destroy();
  });
});

/** Writes everything at once, as a pipelining client may, and returns all that was answered. */
async function converse(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const said = collect(socket);
  await waitFor(() => said().startsWith('220'), { what: 'the greeting' });
  socket.write(text);
  await once(socket, 'close');
  return said();
}

function collect(socket: Socket): () => string {
  let said = '';
  socket.on('data', (chunk) => (said += chunk));
  return () => said;
}
