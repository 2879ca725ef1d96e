import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { type Received, Refusal, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

async function tokenOf(postern: Postern, scope = 'email'): Promise<string> {
  const id = `app-${scope.replaceAll(/\W/g, '-')}`;
  const made = await postern.cli('clients', 'create', '--id', id, '--scope', scope, '--json');
  assert.equal(made.code, 0, made.stderr);
  const { client_id, client_secret } = JSON.parse(made.stdout);
  const { body } = await postern.call('POST', '/oauth/token', {
    json: { grant_type: 'client_credentials', client_id, client_secret, scope },
  });
  return body.access_token;
}

const letter = { from: 'Shop <shop@example.com>', to: 'ada@example.com', subject: 'Hello', text: 'Hi.' };

describe('mail, from the call to the mailbox', () => {
  let sink: Sink;
  let postern: Postern;
  let token: string;
  let isBusy = true;
  before(async () => {
    sink = await startSink({
      onRecipient: (address) => {
        if (address === 'gone@example.com') throw new Refusal(550, '5.1.1 no such user');
        if (address === 'busy@example.com' && isBusy) throw new Refusal(451, '4.2.1 later');
      },
    });
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
    token = await tokenOf(postern);
  });
  after(async () => {
    await postern.dispose();
    await sink.close();
  });

  const untilStatus = (id: string, status: string) =>
    waitFor(
      async () => {
        const { body } = await postern.call('GET', `/emails/${id}`, { token });
        return body.status === status && body;
      },
      { what: `${id} to be ${status}`, detail: postern.output },
    );

  it('a letter is accepted, leaves, and its history says so', async () => {
    const { status, body } = await postern.call('POST', '/emails', { token, json: letter });
    assert.equal(status, 202);
    const sent = await untilStatus(body.id, 'sent');
    const received = sink.received.find(({ messageId }) => messageId === sent.message_id);
    assert.deepEqual([received?.mailFrom, received?.rcptTo], ['shop@example.com', ['ada@example.com']]);
    assert.equal(sent.recipients[0].last_reply.code, 250);
  });

  it('each recipient has a fate of its own (F15)', async () => {
    const { body } = await postern.call('POST', '/emails', {
      token,
      json: { ...letter, to: ['ok@example.com', 'busy@example.com', 'gone@example.com'] },
    });
    const deferred = await untilStatus(body.id, 'deferred');
    assert.deepEqual(
      deferred.recipients.map(({ status }: { status: string }) => status),
      ['sent', 'deferred', 'bounced'],
    );
    isBusy = false;
    assert.equal((await postern.call('POST', `/emails/${body.id}/retry`, { token })).status, 200);
    const done = await untilStatus(body.id, 'bounced');
    assert.deepEqual(
      done.recipients.map(({ status, attempts }: { status: string; attempts: number }) => [status, attempts]),
      [
        ['sent', 1],
        ['sent', 2],
        ['bounced', 1],
      ],
    );
    const rcptTos = sink.received.filter(({ messageId }) => messageId === done.message_id).map(({ rcptTo }) => rcptTo);
    assert.deepEqual(rcptTos, [['ok@example.com'], ['busy@example.com']]);
  });

  it('reaches addresses with letters of every script, the domain in A-labels (S46)', async () => {
    const { status, body } = await postern.call('POST', '/emails', {
      token,
      json: { ...letter, to: ['Jo\u0308rg <jo\u0308rg@bücher.example>', '用户@例え.テスト'], subject: 'Grüße' },
    });
    assert.equal(status, 202);
    const sent = await untilStatus(body.id, 'sent');
    assert.deepEqual(sent.to, ['Jo\u0308rg <jörg@xn--bcher-kva.example>', '用户@xn--r8jz45g.xn--zckzah']);
    const received = sink.received.find(({ messageId }) => messageId === sent.message_id);
    assert.deepEqual(received?.rcptTo, ['jörg@bücher.example', '用户@例え.テスト'], 'as smtp-server reads A-labels');
    assert.match(received?.raw ?? '', /^To: \S+ <jörg@xn--bcher-kva\.example>,\s+用户@xn--r8jz45g\.xn--zckzah\r$/m);
    const found = await postern.call('GET', `/emails?to=${encodeURIComponent('JöRG@bücher.example')}`, { token });
    assert.deepEqual(
      found.body.data.map(({ id }: { id: string }) => id),
      [body.id],
    );
  });

  it('a scheduled letter waits, and leaves no more once it is canceled', async () => {
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const { body } = await postern.call('POST', '/emails', { token, json: { ...letter, scheduled_at: later } });
    assert.equal(body.status, 'scheduled');
    assert.equal((await postern.call('POST', `/emails/${body.id}/cancel`, { token })).body.status, 'canceled');
    assert.equal((await postern.call('GET', `/emails/${body.id}`, { token })).body.status, 'canceled');
  });

  it('a letter handed in with an Idempotency-Key twice leaves once (F3)', async () => {
    const options = { token, json: { ...letter, subject: 'once' }, headers: { 'Idempotency-Key': 'order-7' } };
    const first = await postern.call('POST', '/emails', options);
    const again = await postern.call('POST', '/emails', options);
    assert.equal(again.text, first.text);
    const { message_id } = await untilStatus(first.body.id, 'sent');
    assert.equal(sink.received.filter(({ messageId }) => messageId === message_id).length, 1);
  });
});

describe('a body that is too large', () => {
  it('is answered to a client that is still sending, and the connection goes on', async () => {
    const postern = await startPostern();
    const socket = connect(postern.port, '127.0.0.1');
    try {
      const token = await tokenOf(postern);
      let said = '';
      socket.on('data', (chunk) => (said += chunk));
      const head = `Host: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json`;
      const bytes = 45_000_000;
      socket.write(`POST /emails HTTP/1.1\r\n${head}\r\nContent-Length: ${bytes}\r\n\r\n`);
      await waitFor(() => said.includes('http.body_too_large'), { what: 'the refusal', detail: () => said });
      assert.match(said, /^HTTP\/1\.1 413 /);
      socket.write(Buffer.alloc(bytes, 'x'));
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
      await waitFor(() => said.includes('HTTP/1.1 200'), { what: 'the next answer', detail: () => said });
    } finally {
      socket.destroy();
      await postern.dispose();
    }
  });
});

describe('mail, when things break', () => {
  it('is accepted while SMTP is down, and arrives after kill -9 and a restart, under the Message-ID of acceptance', async () => {
    const [smtpPort] = await freePorts(1);
    const env = { SMTP_URL: `smtp://127.0.0.1:${smtpPort}`, POSTERN_ENV: 'development' };
    let postern = await startPostern({ env });
    let sink: Sink | undefined;
    try {
      const token = await tokenOf(postern);
      const ids: string[] = [];
      for (let i = 0; i < 30; i++) {
        const { status, body } = await postern.call('POST', '/emails', { token, json: { ...letter, subject: `${i}` } });
        assert.equal(status, 202);
        ids.push(body.id);
      }
      await postern.kill();
      sink = await startSink({ port: smtpPort ?? 0 });
      postern = await postern.restart();
      const expected = new Set<string>();
      for (const id of ids) {
        const { message_id } = await waitFor(
          async () => {
            const { body } = await postern.call('GET', `/emails/${id}`, { token });
            return body.status === 'sent' && body;
          },
          { what: `${id} to be sent`, seconds: 90, detail: postern.output },
        );
        expected.add(message_id);
      }
      const arrived = sink.received.map(({ messageId }: Received) => messageId);
      assert.equal(arrived.length, ids.length);
      assert.deepEqual(new Set(arrived), expected);
    } finally {
      await postern.dispose();
      await sink?.close();
    }
  });
});
