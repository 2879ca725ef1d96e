import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { type CallOptions, call } from '../../test/support/start-postern.ts';
import { newId } from '../crypto/ids.ts';
import type { Database } from '../database/database.ts';
import { drain } from '../http/drain.ts';
import { type App, buildServer } from '../http/server.ts';
import { inboxRoutes } from './routes.ts';
import { deleteMessages, insertMessages, type ReceivedMessage } from './store.ts';

const hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

describe('the dev inbox over HTTP', () => {
  let db: Database;
  let closeDatabase: () => Promise<void>;
  let app: App;
  let url: string;

  before(async () => {
    ({ db, close: closeDatabase } = await testDatabase());
    app = await makeApp(db);
    url = await app.listen({ port: 0, host: '127.0.0.1' });
  });
  after(async () => {
    await app.close();
    await closeDatabase();
  });
  beforeEach(() => deleteMessages(db));

  const get = (path: string, options?: CallOptions) => call(`${url}${path}`, 'GET', options);

  it('lists the newest first, in pages', async () => {
    const ids = await keep(db, { subject: 'one' }, { subject: 'two' }, { subject: 'three' });
    const first = await get('/inbox/messages?limit=2');
    assert.deepEqual(
      first.body.data.map((message: { subject: string }) => message.subject),
      ['three', 'two'],
    );
    assert.equal(first.body.has_more, true);
    const rest = await get(`/inbox/messages?limit=2&after=${ids[1]}`);
    assert.equal(rest.body.has_more, false);
    assert.deepEqual(Object.keys(rest.body.data[0]).sort(), [
      'from',
      'html',
      'id',
      'received_at',
      'subject',
      'text',
      'to',
    ]);
    assert.match(rest.body.data[0].received_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it('finds by recipient, in any letter case and either form of the domain', async () => {
    await keep(db, { rcptTo: ['Ann@example.com', 'bob@xn--bcher-kva.example'] }, { rcptTo: ['ann@example.com.evil'] });
    for (const to of ['ann@EXAMPLE.com', 'Bob@bücher.example', 'bob@xn--bcher-kva.example']) {
      const { body } = await get(`/inbox/messages?to=${encodeURIComponent(to)}`);
      assert.equal(body.data.length, 1, to);
    }
    for (const to of ['example.com', '%00']) {
      assert.deepEqual((await get(`/inbox/messages?to=${to}`)).body, { data: [], has_more: false });
    }
  });

  it('refuses limits and fields that do not exist', async () => {
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'after=x', 'form=a']) {
      assert.equal((await get(`/inbox/messages?${query}`)).status, 400, query);
    }
  });

  it('answers 404 for a message that is not there, whatever its id looks like', async () => {
    for (const id of [newId(), 'x', '%00', '..%2f..%2fetc%2fpasswd']) {
      for (const view of ['', '/html', '/text', '/source']) {
        const reply = await get(`/inbox/messages/${id}${view}`);
        assert.equal(reply.status, 404, id + view);
      }
    }
  });

  it('empties', async () => {
    await keep(db, {}, {});
    assert.equal((await call(`${url}/inbox/messages`, 'DELETE')).status, 204);
    assert.deepEqual((await get('/inbox/messages')).body, { data: [], has_more: false });
  });

  it('lists on the page without JavaScript, and escapes what mail says', async () => {
    const [id] = await keep(db, { subject: hostile, from: hostile, rcptTo: [hostile] });
    const { text, headers } = await get('/inbox');
    assert.match(headers.get('content-type') ?? '', /^text\/html/);
    assert.ok(text.includes(`href="/inbox/messages/${id}/text"`));
    assert.ok(text.includes('&quot;&gt;&lt;script&gt;alert(1)'));
    assert.ok(!text.includes('<script>alert') && !text.includes('<img'));
    for (const asset of ['/inbox/inbox.js', '/inbox/inbox.css']) {
      assert.ok(text.includes(`"${asset}"`));
      assert.equal((await get(asset)).status, 200);
    }
  });

  it("shows a message's HTML where its scripts cannot run", async () => {
    const [id] = await keep(db, { html: `<!doctype html><html><head><title>x</title></head><p>${hostile}</p></html>` });
    const { text, headers } = await get(`/inbox/messages/${id}/html`);
    assert.equal(headers.get('content-type'), 'text/html; charset=utf-8');
    const policy = headers.get('content-security-policy') ?? '';
    assert.match(policy, /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';/);
    assert.doesNotMatch(policy, /allow-scripts|allow-same-origin|script-src/);
    assert.match(policy, /frame-ancestors 'self'/);
    assert.match(text, /^<!doctype html><html><head><base target="_blank"><title>/);
  });

  it('shows text and source as plain text', async () => {
    const raw = Buffer.from(`Subject: x\r\n\r\n${hostile}\r\n`);
    const [id] = await keep(db, { text: hostile, raw });
    for (const [view, content] of [
      ['text', hostile],
      ['source', String(raw)],
    ]) {
      const { text, headers } = await get(`/inbox/messages/${id}/${view}`);
      assert.equal(text, content);
      assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('content-security-policy') ?? '', /^sandbox/);
    }
  });

  it('is not readable by pages of other origins', async () => {
    const { headers } = await get('/inbox/messages', { headers: { origin: 'https://evil.example' } });
    assert.equal(headers.get('access-control-allow-origin'), null);
    const preflight = await call(`${url}/inbox/messages`, 'OPTIONS', {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'DELETE' },
    });
    assert.equal(preflight.headers.get('access-control-allow-origin'), null);
  });

  it('tells all who listen when mail arrives or goes, and ends their streams when the server drains', async () => {
    const other = await makeApp(db);
    const otherUrl = await other.listen({ port: 0, host: '127.0.0.1' });
    const streams = await Promise.all([1, 2].map(async () => listen(`${otherUrl}/inbox/events`)));
    for (const stream of streams) await stream.next();
    await keep(db, {});
    for (const stream of streams) await stream.next();
    await deleteMessages(db);
    for (const stream of streams) await stream.next();
    const drained = drain(other);
    for (const stream of streams) await stream.ended();
    await drained;
  });
});

async function makeApp(db: Database): Promise<App> {
  const options = { log: pino({ level: 'silent' }), publicUrl: 'http://localhost', trustProxy: [], version: '0' };
  return buildServer({ ...options, routes: [inboxRoutes({ db })] });
}

/** Stores messages, oldest first. @returns their ids */
async function keep(db: Database, ...messages: Partial<ReceivedMessage>[]): Promise<string[]> {
  const ids = messages.map(() => newId()).sort();
  const blank = { mailFrom: 'a@b.example', rcptTo: ['c@d.example'], raw: Buffer.from('\r\n') };
  const absent = { from: undefined, subject: undefined, text: undefined, html: undefined };
  await insertMessages(
    db,
    messages.map((message, i) => ({ ...blank, ...absent, ...message, id: ids[i] ?? '' })),
  );
  return ids;
}

/** `next` resolves at the next "changed" event, `ended` at the end of the stream. */
async function listen(url: string): Promise<{ next: () => Promise<void>; ended: () => Promise<void> }> {
  const response = await fetch(url);
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const reader = response.body?.getReader();
  assert.ok(reader);
  let unread = '';
  return {
    next: async () => {
      while (!unread.includes('event: changed\n')) {
        const { done, value } = await reader.read();
        assert.ok(!done, 'the stream has ended');
        unread += Buffer.from(value).toString();
      }
      unread = unread.slice(unread.indexOf('event: changed\n') + 1);
    },
    ended: async () => {
      while (!(await reader.read()).done);
    },
  };
}
