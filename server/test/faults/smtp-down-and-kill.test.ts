/** Nothing accepted is lost: SMTP down, kill -9, and then everything arrives with the Message-ID it was accepted with. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('with the SMTP server down', () => {
  let postern: Postern;
  let sink: Sink | undefined;
  let smtpPort: number;
  let token: string;
  const accepted = new Map<string, string>();

  before(async () => {
    [smtpPort = 0] = await freePorts(1);
    postern = await startPostern({
      env: { POSTERN_ENV: 'development', SMTP_URL: `smtp://127.0.0.1:${smtpPort}` },
    });
    const made = await postern.cli('clients', 'create', '--id', 'app', '--scope', 'email', '--json');
    const reply = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    token = reply.body.access_token;
  });
  after(async () => {
    await postern.dispose();
    await sink?.close();
  });

  it('accepts registrations and letters', async () => {
    const registered = await postern.call('POST', '/auth/register', {
      json: { email: 'user@example.com', password: 'correct horse battery' },
    });
    assert.equal(registered.status, 201);
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        postern.call('POST', '/emails', {
          token,
          json: { to: `r${i}@example.com`, subject: `Letter ${i}`, text: 'Hi' },
        }),
      ),
    );
    for (const [i, reply] of replies.entries()) {
      assert.equal(reply.status, 202, reply.text);
      accepted.set(reply.body.id, `r${i}@example.com`);
    }
  });

  it('shows why a letter waits and when it is tried again', async () => {
    // One letter a second finds out whether the relay is back; which of them it is does not matter.
    const tried = await waitFor(
      async () => (await postern.call('GET', '/emails?status=deferred', { token })).body.data[0],
      { what: 'a first attempt', detail: postern.output },
    );
    const letter = (await postern.call('GET', `/emails/${tried.id}`, { token })).body;
    assert.ok(letter.recipients[0].attempts > 0);
    assert.equal(letter.recipients[0].status, 'deferred');
    assert.ok(Date.parse(letter.recipients[0].next_attempt_at) > Date.parse(letter.created_at));
    assert.match(letter.recipients[0].last_reply.text, /ECONNREFUSED|refused/i);
  });

  it('delivers everything after kill -9 and a start with SMTP up, with the Message-ID of the acceptance', async () => {
    const messageIds = new Map<string, string>();
    for (const id of accepted.keys()) {
      messageIds.set(id, (await postern.call('GET', `/emails/${id}`, { token })).body.message_id);
    }
    await postern.kill();
    const mended = await startSink({ port: smtpPort });
    sink = mended;
    postern = await postern.restart();
    await waitFor(() => mended.received.length >= accepted.size + 1, {
      what: 'every letter',
      detail: () => `${mended.received.length} of ${accepted.size + 1}\n${postern.output()}`,
    });
    for (const [id, address] of accepted) {
      const copies = mended.received.filter(({ rcptTo }) => rcptTo.includes(address));
      assert.equal(copies.length, 1, address);
      assert.equal(copies[0]?.messageId, messageIds.get(id));
    }
    assert.equal(mended.received.filter(({ rcptTo }) => rcptTo.includes('user@example.com')).length, 1);
  });
});

describe('kill -9 between acceptance and delivery', () => {
  it('loses nothing (F2, F4)', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    // Holds every letter before its 250: none may count as delivered when the process dies.
    const slow = await startSink({ onMessage: () => held.then(() => Promise.reject(new Error('too late'))) });
    let postern = await startPostern({ env: { POSTERN_ENV: 'development', SMTP_URL: slow.url } });
    const made = await postern.cli('clients', 'create', '--id', 'app', '--scope', 'email', '--json');
    const reply = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    const token = reply.body.access_token;
    const ids: string[] = [];
    for (let i = 0; i < 10; i++) {
      const sent = await postern.call('POST', '/emails', {
        token,
        json: { to: `r${i}@example.com`, subject: 'Held', text: 'Hi' },
      });
      ids.push(sent.body.id);
    }
    await waitFor(async () => (await postern.call('GET', `/emails/${ids[0]}`, { token })).body.status === 'sending', {
      what: 'the first delivery to begin',
    });
    await postern.kill();
    release();
    await slow.close();
    const sink = await startSink();
    postern = await postern.restart({ SMTP_URL: sink.url });
    try {
      await waitFor(() => sink.received.length >= ids.length, {
        what: 'every letter once the leases have run out',
        seconds: 90,
        detail: () => `${sink.received.length} of ${ids.length}\n${postern.output()}`,
      });
      assert.equal(new Set(sink.received.map(({ messageId }) => messageId)).size, ids.length);
      assert.equal(sink.received.length, ids.length);
    } finally {
      await postern.dispose();
      await sink.close();
    }
  });
});
