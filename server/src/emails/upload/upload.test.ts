import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../../test/support/database.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { makeSecrets } from '../../crypto/secrets.ts';
import type { Database, Queryable } from '../../database/database.ts';
import { noHandoff } from '../../delivery/handoff.ts';
import { rememberVerifiedDomains } from '../../domains/verified-domains.ts';
import { makeNeeds } from '../../http/caller.ts';
import { type App, buildServer } from '../../http/server.ts';
import { makeTemplateRenderer } from '../../templates/renderer.ts';
import { openQuotas } from '../../tenants/quotas.ts';
import { makeAcceptor } from '../accept.ts';
import { makeCountedAcceptor } from '../accept-letters.ts';
import type { NewEmail } from '../email.ts';
import { emailRoutes } from '../routes.ts';
import { submitEmails, submitLeased } from '../submit.ts';
import { openUploads } from './upload.ts';

const mebibyte = 1024 * 1024;
const secrets = makeSecrets([Buffer.alloc(32, 7)]);
const tenantId = randomUUID();

describe('attachments', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let app: App;
  let url: string;
  let port: number;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    db = database.db;
    folder = await mkdtemp(join(tmpdir(), 'postern-test-spool-'));
    await writeFile(join(folder, 'left-over'), 'x');
    const parts = { secrets, messageIdHost: 'postern.test' };
    const submit = (target: Queryable, emails: NewEmail[]) => submitEmails(parts, target, emails);
    const lease: Parameters<typeof makeAcceptor>[0]['submitLeased'] = (...rest) => submitLeased(parts, ...rest);
    const wakeWorkers = () => {};
    const quotas = openQuotas(db);
    app = await buildServer({
      log: pino({ level: 'silent' }),
      publicUrl: 'http://localhost:3000',
      trustProxy: [],
      version: '0',
      routes: [
        emailRoutes({
          db,
          secrets,
          needs: makeNeeds(async ({ headers: { authorization: header = 'client:app' } }) => ({
            kind: 'client',
            id: randomUUID(),
            name: header,
            tenantId,
            scopes: new Set(['email']),
          })),
          mailFrom: { address: 'no-reply@example.com' },
          senderPolicy: 'any',
          verifiedDomains: rememberVerifiedDomains(db),
          submitEmails: submit,
          templates: makeTemplateRenderer({ log: pino({ level: 'silent' }) }),
          acceptEmail: makeAcceptor({ db, submitLeased: lease, handoff: () => noHandoff, wakeWorkers }),
          acceptCounted: makeCountedAcceptor({ db, submitEmails: submit, quotas, wakeWorkers }),
          quotas,
          uploads: await openUploads(folder),
          wakeWorkers,
        }),
      ],
    });
    url = await app.listen({ port: 0, host: '127.0.0.1' });
    port = Number(new URL(url).port);
  });
  after(async () => {
    await app.close();
    await rm(folder, { recursive: true });
    await database.close();
  });
  afterEach(async () => {
    assert.deepEqual(await readdir(folder), []);
    await waitFor(async () => (await openSpools()) === 0, { what: 'the spool files to be closed' });
  });

  /** Files that this process has open in the spool, although they have no name. */
  const openSpools = async () => {
    if (process.platform !== 'linux') return 0;
    const targets = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    return targets.filter((target) => target.startsWith(folder)).length;
  };
  const post = async (path: string, json: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof json === 'string' ? json : JSON.stringify(json),
    });
    // biome-ignore lint/suspicious/noExplicitAny: tests read deep into answers whose shape is what they assert.
    return { status: response.status, headers: response.headers, body: (await response.json()) as any };
  };
  const detail = async (id: string) => (await (await fetch(`${url}/emails/${id}`)).json()) as { attachments: object[] };
  const download = (id: string, position: number | string, headers = {}) =>
    fetch(`${url}/emails/${id}/attachments/${position}`, { headers });
  const letter = { to: 'ada@example.com', subject: 'Hello', html: '<img src="cid:logo">' };
  const attach = (size: number, filename = 'data.bin') => {
    const octets = randomBytes(size);
    return { octets, json: { filename, content: octets.toString('base64') } };
  };
  const rows = async () => {
    const [row] = await db`
      SELECT (SELECT count(*) FROM emails) + (SELECT count(*) FROM email_attachments)
             + (SELECT count(*) FROM email_queue) + (SELECT count(*) FROM email_bodies) AS count`;
    return Number(row?.count);
  };

  it('are kept with the letter, small or large, and come back as they were', async () => {
    const small = attach(100, 'größe.pdf');
    const large = attach(3 * mebibyte);
    const image = { ...attach(1_000, 'logo.PNG').json, content_id: 'logo@example.com' };
    const typed = { ...attach(0, 'invite').json, content_type: 'text/calendar; method=REQUEST; charset="utf-8"' };
    for (const given of [small, large]) {
      const { status, body } = await post('/emails', { ...letter, attachments: [given.json, image, typed] });
      assert.equal(status, 202);
      const { attachments } = await detail(body.id);
      const first =
        given === small
          ? ['größe.pdf', 'application/pdf', 100]
          : ['data.bin', 'application/octet-stream', 3 * mebibyte];
      assert.deepEqual(attachments, [
        { position: 0, filename: first[0], content_type: first[1], content_id: null, size: first[2] },
        { position: 1, filename: 'logo.PNG', content_type: 'image/png', content_id: 'logo@example.com', size: 1_000 },
        { position: 2, filename: 'invite', content_type: typed.content_type, content_id: null, size: 0 },
      ]);
      const answer = await download(body.id, 0);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(given.octets));
      assert.equal(answer.headers.get('content-type'), first[1]);
      assert.match(
        answer.headers.get('content-disposition') ?? '',
        /^attachment; filename\*=UTF-8''(gr%C3%B6%C3%9Fe\.pdf|data\.bin)$/,
      );
      assert.equal((await download(body.id, 2)).headers.get('content-length'), '0');
      for (const other of ['3', '-1', 'x', '99999999999']) assert.equal((await download(body.id, other)).status, 404);
      assert.equal((await download(body.id, 0, { authorization: 'client:other' })).status, 404);
    }
  });

  it('are read from a body of unknown length too', async () => {
    const large = attach(mebibyte);
    const json = JSON.stringify({ ...letter, attachments: [large.json] });
    const stream = new ReadableStream({
      start: (controller) => {
        for (let at = 0; at < json.length; at += 50_000) controller.enqueue(Buffer.from(json.slice(at, at + 50_000)));
        controller.close();
      },
    });
    const response = await fetch(`${url}/emails`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: stream,
      duplex: 'half',
    });
    const { id } = (await response.json()) as { id: string };
    assert.ok(Buffer.from(await (await download(id, 0)).arrayBuffer()).equals(large.octets));
  });

  it('make a letter too large beyond 25 MiB, decoded and with all else that it holds', async () => {
    const room = 25 * mebibyte - letter.subject.length - letter.html.length;
    const { octets, json } = attach(room);
    const { status, body } = await post('/emails', { ...letter, attachments: [json] });
    assert.equal(status, 202, JSON.stringify(body));
    const hash = createHash('sha256');
    for await (const piece of (await download(body.id, 0)).body ?? []) hash.update(piece);
    assert.equal(hash.digest('hex'), createHash('sha256').update(octets).digest('hex'));
    const before = await rows();
    const over = await post('/emails', { ...letter, attachments: [json, attach(1).json] });
    assert.deepEqual([over.status, over.body.code], [413, 'emails.too_large']);
    const huge = await post('/emails', { ...letter, attachments: [{ ...json, content: 'A'.repeat(41 * mebibyte) }] });
    assert.deepEqual([huge.status, huge.body.code], [413, 'http.body_too_large']);
    assert.equal(await rows(), before);
  });

  it('come in batches too, where a bad one sinks no other', async () => {
    const items = [attach(mebibyte), attach(10), attach(mebibyte)].map(({ json, octets }) => ({
      octets,
      item: { ...letter, attachments: [json] },
    }));
    const bad = { ...letter, attachments: [{ filename: 'a', content: `${'QUJD'.repeat(100_000)}QU=D` }] };
    const { status, body } = await post('/emails/batch', [...items.map(({ item }) => item), bad]);
    assert.equal(status, 202);
    for (const [index, { octets }] of items.entries()) {
      const answer = await download(body.data[index].id, 0);
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(octets));
    }
    assert.equal(body.data[3].error.code, 'emails.invalid_attachment');
    assert.equal(body.data[3].error.errors[0].path, 'attachments.0.content');
  });

  it('count in what an Idempotency-Key stands for, however the body is written', async () => {
    const { json } = attach(400_000);
    const mail = { ...letter, attachments: [json] };
    const headers = { 'idempotency-key': randomUUID() };
    const [first, again, spaced] = [
      await post('/emails', mail, headers),
      await post(
        '/send-email/',
        { attachments: [{ content: json.content, filename: json.filename }], ...letter },
        headers,
      ),
      await post('/emails', JSON.stringify(mail, null, 2), headers),
    ];
    assert.deepEqual([again.body, spaced.body], [first.body, first.body]);
    assert.equal(again.headers.get('idempotent-replay'), 'true');
    const other = await post('/emails', { ...letter, attachments: [attach(400_000).json] }, headers);
    assert.deepEqual([other.status, other.body.code], [422, 'idempotency.key_reused']);
    // Read as a whole, and as one of many: the same letter all the same.
    const small = { ...letter, attachments: [attach(2_000).json] };
    const key = { 'idempotency-key': randomUUID() };
    const whole = await post('/emails', small, key);
    const padded = await post('/emails', `${JSON.stringify(small)}${' '.repeat(300_000)}`, key);
    assert.deepEqual([padded.status, padded.body], [202, whole.body]);
  });

  it('leave nothing when the upload is cut off', async () => {
    const before = await rows();
    const json = JSON.stringify({ ...letter, attachments: [attach(2 * mebibyte).json] });
    const head = `POST /emails HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n\r\n`;
    for (const part of [0.3, 0.9, 0.99999]) {
      const socket = connect(port, '127.0.0.1');
      socket.write(`${head}${json.slice(0, Math.floor(json.length * part))}`);
      await waitFor(async () => process.platform !== 'linux' || (await openSpools()) > 0, {
        what: 'the upload to begin',
      });
      socket.destroy();
      await waitFor(async () => (await openSpools()) === 0, { what: 'the upload to be given up' });
    }
    assert.equal(await rows(), before);
  });

  it('are refused with an answer also while they still arrive', async () => {
    const { content } = attach(3 * mebibyte).json;
    const broken = await post('/emails', `{"attachments":[{"content":"QUJD\\x","content":"${content}"}]}`);
    assert.deepEqual([broken.status, broken.body.code], [400, 'http.malformed_json']);
    const twice = await post('/emails', `{"attachments":[{"content":"QUJD","content":"${content}"}]}`);
    assert.deepEqual([twice.status, twice.body.code], [400, 'http.malformed_json']);
  });

  const one = { filename: 'a.txt', content: 'QUJD' };
  const wrong: Record<string, [object, string]> = {
    'a path in place of a content (S48)': [{ filename: 'a', path: '/etc/passwd' }, 'path'],
    'an address in place of a content (S48)': [{ filename: 'a', href: 'http://127.0.0.1/' }, 'href'],
    'a raw part (S48)': [{ ...one, raw: 'Content-Type: text/html' }, 'raw'],
    'an encoding (S48)': [{ ...one, encoding: 'hex' }, 'encoding'],
    'a content that is an object (S48)': [{ filename: 'a', content: { path: '/etc/passwd' } }, 'content'],
    'no content': [{ filename: 'a' }, 'content'],
    'no filename': [{ content: 'QUJD' }, 'filename'],
    'a filename that climbs (S48)': [{ ...one, filename: '../../etc/passwd' }, 'filename'],
    'a filename with backslashes (S48)': [{ ...one, filename: '..\\a' }, 'filename'],
    'a filename that is a folder (S48)': [{ ...one, filename: '..' }, 'filename'],
    'an empty filename': [{ ...one, filename: ' ' }, 'filename'],
    'a filename of 256 octets': [{ ...one, filename: 'ä'.repeat(128) }, 'filename'],
    'a filename that reads backwards': [{ ...one, filename: 'a\u202efdp.exe' }, 'filename'],
    'a line break in a filename (S43)': [{ ...one, filename: 'a\r\nX: y' }, 'filename'],
    'a lone CR in a filename (S43)': [{ ...one, filename: 'a\rb' }, 'filename'],
    'NUL in a filename (S43)': [{ ...one, filename: 'a\0.txt' }, 'filename'],
    'a line break in a media type (S43)': [{ ...one, content_type: 'text/plain\r\nX: y' }, 'content_type'],
    'NUL in a media type (S43)': [{ ...one, content_type: 'text/plain\0' }, 'content_type'],
    'half a media type': [{ ...one, content_type: 'text' }, 'content_type'],
    'a media type with a boundary': [{ ...one, content_type: 'text/plain; boundary=x' }, 'content_type'],
    'a media type with a name': [{ ...one, content_type: "text/plain; name*0*=utf-8''x" }, 'content_type'],
    'many parts in one': [{ ...one, content_type: 'Multipart/mixed' }, 'content_type'],
    'an encoded message': [{ ...one, content_type: 'message/rfc822' }, 'content_type'],
    'a line break in a content id (S43)': [{ ...one, content_id: 'a\r\nX: y' }, 'content_id'],
    'a content id in angle brackets': [{ ...one, content_id: '<a@b>' }, 'content_id'],
    'an empty content id': [{ ...one, content_id: '' }, 'content_id'],
    'base64 of URLs': [{ ...one, content: 'QU-_' }, 'content'],
    'base64 with line breaks': [{ ...one, content: 'QUJD\r\nQUJD' }, 'content'],
    'base64 without its padding': [{ ...one, content: 'QUI' }, 'content'],
    'a data URL': [{ ...one, content: 'data:text/plain;base64,QUJD' }, 'content'],
  };
  for (const [what, [attachment, field]] of Object.entries(wrong)) {
    it(`are refused with ${what}, in small bodies and large`, async () => {
      const before = await rows();
      for (const text of ['', 'x'.repeat(300_000)]) {
        const { status, body } = await post('/emails', { ...letter, text, attachments: [one, attachment] });
        assert.equal(status, 400);
        assert.match(body.code, /^(emails\.invalid_attachment|http\.invalid_request)$/);
        assert.ok(
          body.errors.some(({ path }: { path: string }) => path === `attachments.1.${field}`),
          body.detail,
        );
      }
      assert.equal(await rows(), before);
    });
  }

  it('are refused with __proto__ (S48), and with the same content id twice', async () => {
    const proto = await post(
      '/emails',
      `{"to":"a@b.example","subject":"x","attachments":[{"filename":"a","content":"QUJD","__proto__":{"path":"/etc/passwd"}}]}`,
    );
    assert.deepEqual([proto.status, proto.body.code], [400, 'http.malformed_json']);
    const image = { ...one, content_id: 'logo' };
    const twice = await post('/emails', { ...letter, attachments: [image, image] });
    assert.deepEqual([twice.status, twice.body.errors[0].path], [400, 'attachments.1.content_id']);
  });

  it('are no field of POST /send', async () => {
    const { status, body } = await post('/send', { to_email: 'a@b', subject: 'x', attachments: [one] });
    assert.deepEqual([status, body.errors[0].path], [400, 'attachments']);
  });
});
