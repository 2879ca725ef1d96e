import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import type { Database, Queryable } from '../database/database.ts';
import { noHandoff } from '../delivery/handoff.ts';
import { rememberVerifiedDomains } from '../domains/verified-domains.ts';
import { type Caller, makeNeeds, unauthorized } from '../http/caller.ts';
import { type App, buildServer } from '../http/server.ts';
import { makeTemplateRenderer } from '../templates/renderer.ts';
import { openQuotas } from '../tenants/quotas.ts';
import { makeAcceptor } from './accept.ts';
import { makeCountedAcceptor } from './accept-letters.ts';
import type { NewEmail } from './email.ts';
import { emailRoutes } from './routes.ts';
import { submitEmails, submitLeased } from './submit.ts';
import { openUploads } from './upload/upload.ts';

/** An instant so many days from now, to the second. */
function inDays(days: number): Date {
  return new Date(Math.floor(Date.now() / 1_000 + days * 86_400) * 1_000);
}

const secrets = makeSecrets([Buffer.alloc(32, 7)]);
const tenants = { one: randomUUID(), two: randomUUID() };

function caller(name: string, tenantId: string, ...scopes: string[]): Caller {
  return { kind: 'client', id: randomUUID(), name: `client:${name}`, tenantId, scopes: new Set(scopes) };
}

// Who a token belongs to; the real look-up is tested where it lives.
const callers: Record<string, Caller> = {
  'Bearer app': caller('app', tenants.one, 'email'),
  'Bearer lister': caller('lister', tenants.one, 'email'),
  'Bearer other': caller('other', tenants.one, 'email'),
  'Bearer admin': caller('admin', tenants.one, 'mail:admin'),
  'Bearer foreign': caller('foreign', tenants.two, 'mail:admin'),
  'Bearer basic': caller('basic', tenants.one, 'basic'),
};

describe('the mail calls', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let app: App;
  let strict: App;
  let woken = 0;
  let folder: string;

  before(async () => {
    database = await testDatabase();
    db = database.db;
    folder = await mkdtemp(join(tmpdir(), 'postern-test-spool-'));
    const uploads = await openUploads(folder);
    const quotas = openQuotas(db);
    const build = (senderPolicy: 'any' | 'verified') => {
      const parts = { secrets, messageIdHost: 'postern.test' };
      const submit = (target: Queryable, emails: NewEmail[]) => submitEmails(parts, target, emails);
      const lease: Parameters<typeof makeAcceptor>[0]['submitLeased'] = (...rest) => submitLeased(parts, ...rest);
      const wakeWorkers = () => {
        woken++;
      };
      return buildServer({
        log: pino({ level: 'silent' }),
        publicUrl: 'http://localhost:3000',
        trustProxy: [],
        version: '0',
        routes: [
          emailRoutes({
            db,
            secrets,
            needs: makeNeeds(async ({ headers }) => {
              const found = callers[headers.authorization ?? ''];
              if (!found) throw unauthorized();
              return found;
            }),
            mailFrom: { name: 'Postern', address: 'no-reply@example.com' },
            senderPolicy,
            verifiedDomains: rememberVerifiedDomains(db),
            submitEmails: submit,
            templates: makeTemplateRenderer({ log: pino({ level: 'silent' }) }),
            acceptEmail: makeAcceptor({ db, submitLeased: lease, handoff: () => noHandoff, wakeWorkers }),
            acceptCounted: makeCountedAcceptor({ db, submitEmails: submit, quotas, wakeWorkers }),
            quotas,
            uploads,
            wakeWorkers,
          }),
        ],
      });
    };
    app = await build('any');
    strict = await build('verified');
  });
  after(async () => {
    await app.close();
    await strict.close();
    await rm(folder, { recursive: true });
    await database.close();
  });

  const call = async (
    method: 'GET' | 'POST',
    url: string,
    payload?: object,
    { token = 'app', headers = {}, on = app }: { token?: string; headers?: Record<string, string>; on?: App } = {},
  ) => {
    const reply = await on.inject({
      method,
      url,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(payload === undefined ? {} : { payload }),
    });
    const isJson = String(reply.headers['content-type']).includes('json');
    return {
      status: reply.statusCode,
      headers: reply.headers,
      text: reply.body,
      body: isJson ? reply.json() : undefined,
    };
  };
  const letter = { to: 'ada@example.com', subject: 'Hello', text: 'Hi.' };

  it('accept a letter, on disk before the answer', async () => {
    for (const path of ['/emails', '/send-email', '/emails/']) {
      const { status, body } = await call('POST', path, letter);
      assert.equal(status, 202);
      assert.deepEqual(Object.keys(body).sort(), ['created_at', 'id', 'status']);
      assert.equal(body.status, 'queued');
      const [row] = await db`SELECT tenant_id FROM email_queue WHERE email_id = ${body.id}`;
      assert.equal(row?.tenant_id, tenants.one);
    }
    assert.ok(woken >= 3);
  });

  it('count a turn of the queue for each recipient, and one more for every 64 KiB, files included', async () => {
    const costOf = async (fields: object) => {
      const { body } = await call('POST', '/emails', { ...letter, ...fields });
      const [row] = await db`SELECT cost FROM email_queue WHERE email_id = ${body.id}`;
      return row?.cost;
    };
    assert.equal(await costOf({}), 1);
    assert.equal(await costOf({ cc: ['bob@example.com', 'eve@example.com'], text: 'x'.repeat(70_000) }), 4);
    const content = Buffer.alloc(140_000).toString('base64');
    assert.equal(await costOf({ attachments: [{ filename: 'a.bin', content }] }), 3);
  });

  it('show a letter with everything that was given', async () => {
    const [start, end] = [inDays(20), inDays(40)];
    const given = {
      from: 'Ada <ada@example.com>',
      to: ['bob@example.com', '"Carol, C." <carol@bücher.example>'],
      cc: 'dan@example.com',
      bcc: ['eve@example.com', 'BOB@example.com'],
      reply_to: 'replies@example.com',
      subject: 'Grüße',
      body: 'one\r\ntwo\rthree',
      html: '<p>one</p>',
      headers: { 'X-Campaign': 'spring' },
      tags: [{ name: 'kind', value: 'welcome' }],
      metadata: { order: 7, nested: { yes: true } },
      lane: 'bulk',
      on_uncertain: 'hold',
      scheduled_at: `${new Date(start.getTime() + 7_200_000).toISOString().slice(0, 19)}+02:00`,
      expires_at: end.toISOString(),
    };
    const accepted = await call('POST', '/emails', given);
    assert.equal(accepted.body.status, 'scheduled');
    const { status, body } = await call('GET', `/emails/${accepted.body.id}`);
    assert.equal(status, 200);
    const { message_id, created_at, events, ...rest } = body;
    assert.match(message_id, /^<[0-9a-f-]{36}@postern\.test>$/);
    assert.equal(created_at, accepted.body.created_at);
    assert.deepEqual(
      events.map(({ type }: { type: string }) => type),
      ['email.queued'],
    );
    const waiting = { status: 'scheduled', attempts: 0, last_reply: null, next_attempt_at: null };
    assert.deepEqual(rest, {
      id: accepted.body.id,
      status: 'scheduled',
      from: 'Ada <ada@example.com>',
      to: ['bob@example.com', '"Carol, C." <carol@xn--bcher-kva.example>'],
      cc: ['dan@example.com'],
      // The second one stands in "to" already.
      bcc: ['eve@example.com'],
      reply_to: ['replies@example.com'],
      attachments: [],
      subject: 'Grüße',
      text: 'one\ntwo\nthree',
      html: '<p>one</p>',
      headers: { 'X-Campaign': 'spring' },
      tags: [{ name: 'kind', value: 'welcome' }],
      metadata: { order: 7, nested: { yes: true } },
      lane: 'bulk',
      on_uncertain: 'hold',
      scheduled_at: start.toISOString(),
      expires_at: end.toISOString(),
      recipients: [
        { address: 'bob@example.com', kind: 'to', ...waiting },
        { address: 'carol@xn--bcher-kva.example', kind: 'to', ...waiting },
        { address: 'dan@example.com', kind: 'cc', ...waiting },
        { address: 'eve@example.com', kind: 'bcc', ...waiting },
      ],
    });
  });

  it('take the call of project B', async () => {
    const { status, headers, text } = await call('POST', '/send', {
      email: 'from@example.com',
      name: 'The Sender',
      to_name: 'The, Recipient',
      to_email: 'to@example.com',
      subject: 'Hello',
    });
    assert.equal(status, 202);
    assert.equal(text, 'Start Queue Email');
    assert.match(String(headers['content-type']), /^text\/plain/);
    const { body } = await call('GET', String(headers.location));
    assert.deepEqual(
      [body.from, body.to, body.subject],
      ['The Sender <from@example.com>', ['"The, Recipient" <to@example.com>'], 'Hello'],
    );
  });

  it('answer each item of a batch on its own, in order', async () => {
    const items = [
      letter,
      { ...letter, to: 'nonsense' },
      { ...letter, colour: 'red' },
      'text',
      { ...letter, subject: 'last' },
    ];
    for (const payload of [items, { emails: items }]) {
      const { status, body } = await call('POST', '/emails/batch', payload);
      assert.equal(status, 202);
      assert.deepEqual(
        body.data.map(({ status, error }: { status?: string; error?: { code: string } }) => status ?? error?.code),
        ['queued', 'http.invalid_request', 'http.invalid_request', 'http.invalid_request', 'queued'],
      );
      assert.equal((await call('GET', `/emails/${body.data[4].id}`)).body.subject, 'last');
      assert.match(body.data[1].error.detail, /^In the body: to: /);
    }
    const many = await call(
      'POST',
      '/emails/batch',
      Array.from({ length: 501 }, () => letter),
    );
    assert.deepEqual(
      [many.status, many.body.code, many.body.errors[0].path],
      [400, 'emails.batch_too_large', 'emails'],
    );
  });

  describe('refuse', () => {
    const wrong: Record<string, object> = {
      'no recipient': { subject: 'x' },
      'neither subject nor body': { to: 'a@b' },
      'an unknown field': { ...letter, colour: 'red' },
      'a list in one address (S45)': { ...letter, to: 'a@b,c@d' },
      'a line break in an address (S43)': { ...letter, to: 'a@b\r\nBcc: x@evil' },
      'a line break in a subject (S43)': { ...letter, subject: 'a\r\nBcc: x@evil' },
      'a lone CR in a subject (S43)': { ...letter, subject: 'a\rb' },
      'NUL in a subject (S43)': { ...letter, subject: 'a\0b' },
      'a line break in a tag (S43)': { ...letter, tags: [{ name: 'a', value: 'b\r\nc' }] },
      'a line break in a name (S43)': { ...letter, from: '"a\r\nBcc: x" <a@b>' },
      'NUL in a body': { ...letter, text: 'a\0b' },
      'NUL in metadata': { ...letter, metadata: { a: ['\0'] } },
      'lone surrogates': { ...letter, metadata: { '\ud800': 1 } },
      'much metadata': { ...letter, metadata: { a: 'x'.repeat(17_000) } },
      'body beside text': { ...letter, body: 'x' },
      'a local instant': { ...letter, scheduled_at: '2090-01-01T10:00:00' },
      'an hour that is not': { ...letter, scheduled_at: '2090-01-01T24:00:00Z' },
      'an instant past the year 9999': { ...letter, scheduled_at: '9999-12-31T23:59:59-23:59' },
      'an end past the year 9999': { ...letter, expires_at: '9999-12-31T23:59:59-00:01' },
      'a day that is not': { ...letter, scheduled_at: '2090-02-30T10:00:00Z' },
      'the otp lane': { ...letter, lane: 'otp' },
      '51 addresses to reply to': { ...letter, reply_to: Array.from({ length: 51 }, (_, i) => `u${i}@b`) },
      'an address with format characters (S46)': { ...letter, to: 'jo\u200brg@example.com' },
    };
    for (const [what, payload] of Object.entries(wrong)) {
      it(what, async () => {
        const [before] = await db`SELECT count(*)::int AS count FROM emails`;
        const { status, body } = await call('POST', '/emails', payload);
        assert.equal(status, 400);
        assert.match(body.code, /^http\.(invalid_request|malformed_json)$/);
        const [now] = await db`SELECT count(*)::int AS count FROM emails`;
        assert.equal(now?.count, before?.count);
      });
    }

    const limits: Record<string, [object, string, string]> = {
      '51 recipients': [{ bcc: Array.from({ length: 50 }, (_, i) => `u${i}@b`) }, 'emails.too_many_recipients', 'to'],
      'a schedule beyond 30 days': [
        { scheduled_at: inDays(30.01).toISOString() },
        'emails.schedule_too_far',
        'scheduled_at',
      ],
      'an end in the past': [{ expires_at: '2001-01-01T00:00:00Z' }, 'emails.expired_already', 'expires_at'],
      'an end before the start': [
        { scheduled_at: inDays(2).toISOString(), expires_at: inDays(1).toISOString() },
        'emails.expires_before_schedule',
        'expires_at',
      ],
      'an end at the start': [
        { scheduled_at: inDays(2).toISOString(), expires_at: inDays(2).toISOString() },
        'emails.expires_before_schedule',
        'expires_at',
      ],
      'a line break in a header (S43)': [{ headers: { 'X-A': 'a\nBcc: x@evil' } }, 'emails.invalid_header', 'headers'],
      'a line break in a header name (S43)': [
        { headers: { 'X-A\r\nBcc': 'x@evil' } },
        'emails.invalid_header',
        'headers',
      ],
      'a colon in a header name': [{ headers: { 'X-A:B': 'x' } }, 'emails.invalid_header', 'headers'],
      '101 attachments': [
        { attachments: Array.from({ length: 101 }, () => ({ filename: 'a', content: '' })) },
        'emails.invalid_attachment',
        'attachments',
      ],
    };
    for (const name of [
      'From',
      'to',
      'CC',
      'Bcc',
      'Subject',
      'Date',
      'Message-ID',
      'MIME-Version',
      'Content-Type',
      'DKIM-Signature',
      'Received',
      'Return-Path',
      'Sender',
      'Reply-To',
      'Resent-To',
    ]) {
      limits[`the header ${name}`] = [{ headers: { [name]: 'x@y' } }, 'emails.invalid_header', 'headers'];
    }
    for (const [what, [fields, code, path]] of Object.entries(limits)) {
      it(`${what}, with a code of its own, alone or in a batch`, async () => {
        const { status, body } = await call('POST', '/emails', { ...letter, ...fields });
        assert.deepEqual([status, body.code, body.errors[0].path], [400, code, path]);
        const batch = await call('POST', '/emails/batch', [letter, { ...letter, ...fields }, letter]);
        const codes = batch.body.data.map(
          (one: { status?: string; error?: { code: string } }) => one.status ?? one.error?.code,
        );
        assert.deepEqual(codes, ['queued', code, 'queued']);
      });
    }

    it('a mail over 25 MiB, but not one below', async () => {
      const { status, body } = await call('POST', '/emails', { ...letter, text: 'x'.repeat(25 * 1024 * 1024 + 1) });
      assert.deepEqual([status, body.code], [413, 'emails.too_large']);
      assert.equal((await call('POST', '/emails', { ...letter, text: 'x'.repeat(41 * 1024 * 1024) })).status, 413);
      assert.equal((await call('POST', '/emails', { ...letter, text: 'x'.repeat(24 * 1024 * 1024) })).status, 202);
    });

    it('callers without the scope', async () => {
      assert.equal((await call('POST', '/emails', letter, { token: 'nobody' })).status, 401);
      assert.equal((await call('POST', '/emails', letter, { token: 'basic' })).status, 403);
    });

    it("senders other than MAIL_FROM's address, where the policy says so", async () => {
      const { status, body } = await call('POST', '/emails', { ...letter, from: 'x@evil.example' }, { on: strict });
      assert.deepEqual([status, body.code], [403, 'emails.sender_not_allowed']);
      assert.match(body.detail, /no-reply@example\.com/);
      const send = { email: 'x@evil.example', name: 'x', to_name: 'y', to_email: 'y@example.com', subject: 'z' };
      assert.equal((await call('POST', '/send', send, { on: strict })).status, 403);
      assert.equal(
        (await call('POST', '/emails', { ...letter, from: 'Shop <No-Reply@example.com>' }, { on: strict })).status,
        202,
      );
      assert.equal((await call('POST', '/emails', letter, { on: strict })).status, 202);
    });
  });

  it('give the first answer again for the same Idempotency-Key, per tenant (F3, S42)', async () => {
    for (const [path, payload] of [
      ['/emails', letter],
      ['/send', { to_email: 'a@example.com', subject: 'x' }],
      ['/emails/batch', { emails: [letter] }],
    ] as const) {
      const headers = { 'idempotency-key': randomUUID() };
      const first = await call('POST', path, payload, { headers });
      const again = await call('POST', path, payload, { headers });
      assert.deepEqual([first.status, again.status, again.text], [202, 202, first.text]);
      assert.equal(again.headers['idempotent-replay'], 'true');
      assert.equal(again.headers.location, first.headers.location);
      assert.equal(
        (await call('POST', path, { ...payload, subject: 'other' }, { headers })).status,
        path === '/emails/batch' ? 400 : 422,
      );
      const foreign = await call('POST', path, payload, { headers, token: 'foreign' });
      assert.equal(foreign.headers['idempotent-replay'], undefined);
    }
  });

  it('take a body for the same one however its keys are ordered and by whichever name the call goes', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const first = await call('POST', '/emails', { ...letter, metadata: { a: 1, b: [{ c: 2, d: null }] } }, { headers });
    const again = await call(
      'POST',
      '/send-email/',
      { metadata: { b: [{ d: null, c: 2 }], a: 1 }, text: letter.text, subject: letter.subject, to: letter.to },
      { headers },
    );
    assert.deepEqual([again.status, again.body], [202, first.body]);
    assert.equal(again.headers['idempotent-replay'], 'true');
    for (const other of [
      { ...letter, metadata: { a: '1', b: [{ c: 2, d: null }] } },
      { ...letter, metadata: { a: 1, b: { 0: { c: 2, d: null } } } },
      { ...letter, metadata: { a: 1, b: [{ c: 2 }] } },
    ]) {
      const refused = await call('POST', '/emails', other, { headers });
      assert.deepEqual([refused.status, refused.body.code], [422, 'idempotency.key_reused']);
    }
    const batch = await call('POST', '/emails/batch', [letter], { headers });
    assert.equal(batch.status, 422);
  });

  it('make one letter of twenty requests at once with one Idempotency-Key', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const subject = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call('POST', '/emails', { ...letter, subject }, { headers })),
    );
    const accepted = answers.filter(({ status }) => status === 202);
    assert.equal(new Set(accepted.map(({ body }) => body.id)).size, 1);
    for (const { status, body, headers } of answers.filter(({ status }) => status !== 202)) {
      assert.deepEqual([status, body.code, headers['retry-after']], [409, 'idempotency.in_progress', '1']);
    }
    const [row] = await db`SELECT count(*)::int AS count FROM emails WHERE subject = ${subject}`;
    assert.equal(row?.count, 1);
  });

  it('show a letter to its sender and to mail administrators, and to nobody else (S41)', async () => {
    const { body } = await call('POST', '/emails', { ...letter, scheduled_at: inDays(1).toISOString() });
    const absent = await call('GET', `/emails/${randomUUID()}`);
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/cancel'],
      ['POST', '/retry'],
    ] as const) {
      for (const token of ['other', 'foreign']) {
        const refused = await call(method, `/emails/${body.id}${path}`, undefined, { token });
        assert.equal(refused.status, 404);
        assert.deepEqual({ ...refused.body, request_id: '' }, { ...absent.body, request_id: '' });
      }
    }
    assert.equal((await call('GET', '/emails/nonsense')).status, 404);
    assert.equal((await call('GET', `/emails/${body.id}`, undefined, { token: 'admin' })).status, 200);
    const list = await call('GET', '/emails?limit=100', undefined, { token: 'other' });
    assert.deepEqual(list.body, { data: [], has_more: false });
  });

  it('list letters page by page, by status, recipient and tag', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { body } = await call(
        'POST',
        '/emails',
        { ...letter, to: `u${i}@Example.com`, tags: [{ name: 'i', value: `${i}:x` }] },
        { token: 'lister' },
      );
      ids.unshift(body.id);
    }
    const list = async (query: string) => {
      const { status, body } = await call('GET', `/emails${query}`, undefined, { token: 'lister' });
      assert.equal(status, 200);
      return [body.data.map(({ id }: { id: string }) => ids.indexOf(id)), body.has_more];
    };
    assert.deepEqual(await list(''), [[0, 1, 2, 3, 4], false]);
    assert.deepEqual(await list('?limit=2'), [[0, 1], true]);
    assert.deepEqual(await list(`?limit=3&after=${ids[1]}`), [[2, 3, 4], false]);
    assert.deepEqual(await list('?to=U3@example.com'), [[1], false]);
    assert.deepEqual(await list('?to=nonsense'), [[], false]);
    assert.deepEqual(await list('?tag=i'), [[0, 1, 2, 3, 4], false]);
    assert.deepEqual(await list('?tag=i:4:x'), [[0], false]);
    assert.deepEqual(await list('?tag=%00'), [[], false]);
    assert.deepEqual(await list('?status=queued'), [[0, 1, 2, 3, 4], false]);
    assert.deepEqual(await list('?status=sent'), [[], false]);
    await db`UPDATE email_queue SET lease_token = ${randomUUID()}, run_at = now() + interval '1 minute' WHERE email_id = ${ids[2] ?? ''}`;
    assert.deepEqual(await list('?status=sending'), [[2], false]);
    assert.equal((await call('GET', '/emails?status=lost')).status, 400);
    assert.equal((await call('GET', '/emails?after=nonsense')).status, 400);
  });

  it('cancel what waits, once, and not what a worker holds', async () => {
    const { body } = await call('POST', '/emails', { ...letter, scheduled_at: inDays(1).toISOString() });
    const canceled = await call('POST', `/emails/${body.id}/cancel`);
    assert.deepEqual([canceled.status, canceled.body], [200, { id: body.id, status: 'canceled' }]);
    const again = await call('POST', `/emails/${body.id}/cancel`);
    assert.deepEqual([again.status, again.body.code], [409, 'emails.not_cancelable']);
    assert.equal((await call('POST', `/emails/${body.id}/retry`)).status, 409);
    const { body: found } = await call('GET', `/emails/${body.id}`);
    assert.deepEqual([found.recipients[0].status, found.events.at(-1).type], ['canceled', 'email.canceled']);

    const held = (await call('POST', '/emails', letter)).body.id;
    await db`UPDATE email_queue SET lease_token = ${randomUUID()}, run_at = now() + interval '1 minute' WHERE email_id = ${held}`;
    assert.equal((await call('POST', `/emails/${held}/cancel`)).status, 409);
    assert.equal((await call('GET', `/emails/${held}`)).body.status, 'sending');
  });

  it('queue a failed letter again, for those who did not get it', async () => {
    const { body } = await call('POST', '/emails', { ...letter, to: ['a@example.com', 'b@example.com'] });
    await db`DELETE FROM email_queue WHERE email_id = ${body.id}`;
    await db`UPDATE emails SET status = 'failed' WHERE id = ${body.id}`;
    await db`UPDATE email_recipients SET status = CASE position WHEN 0 THEN 'sent' ELSE 'failed' END WHERE email_id = ${body.id}`;
    const retried = await call('POST', `/emails/${body.id}/retry`);
    assert.deepEqual([retried.status, retried.body], [200, { id: body.id, status: 'queued' }]);
    const { body: found } = await call('GET', `/emails/${body.id}`);
    assert.deepEqual(
      found.recipients.map(({ status }: { status: string }) => status),
      ['sent', 'queued'],
    );
    assert.equal((await db`SELECT FROM email_queue WHERE email_id = ${body.id}`).length, 1);
  });
});
