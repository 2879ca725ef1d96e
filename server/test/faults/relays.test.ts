/** Relays that hang, refuse, or come and go: what they hold up is their own letters, and for a bounded time (F10, F11). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SmtpTransport } from '../../src/transport/smtp.ts';
import { freePorts } from '../support/free-ports.ts';
import { tokenOf } from '../support/judge.ts';
import { aMessage } from '../support/message.ts';
import { type ScriptedSmtp, type Stage, startScriptedSmtp } from '../support/scripted-smtp.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const message = aMessage();

const hasArrived = (relay: ScriptedSmtp, address: string) => () =>
  relay.received.some(({ rcptTo }) => rcptTo.includes(address));

describe('a relay that hangs on some letters', () => {
  let relay: ScriptedSmtp;
  let postern: Postern;
  let token: string;
  before(async () => {
    relay = await startScriptedSmtp({
      // The sender says where: `hang-DATA@…` stalls at DATA, `drip-MAIL@…` gets its answer to MAIL an octet at a time.
      on: (stage, { mailFrom }, line) => {
        const sender = /<(hang|drip)-(\w+)@/.exec(stage === 'MAIL' ? line : `<${mailFrom}>`);
        return sender?.[2] === stage ? sender[1] : undefined;
      },
    });
    postern = await startPostern({ env: { SMTP_URL: relay.url, POSTERN_ENV: 'development' } });
    token = await tokenOf(postern);
  });
  after(async () => {
    await relay.close();
    await postern.dispose();
  });

  it('F10 F11 holds up neither codes nor other letters', async () => {
    const send = (json: object) => postern.call('POST', '/emails', { token, json: { subject: 'x', ...json } });
    const hung: string[] = [];
    const ways = ['hang-MAIL', 'hang-RCPT', 'hang-DATA', 'hang-body', 'drip-MAIL', 'drip-body'];
    for (let i = 0; i < 30; i++) {
      const { body } = await send({ from: `${ways[i % ways.length]}@example.com`, to: `h${i}@example.com` });
      hung.push(body.id);
    }
    await waitFor(() => relay.connections() >= 20, { what: 'every connection to stall' });
    await postern.call('POST', '/auth/register', {
      json: { email: 'code@example.com', password: 'correct horse battery' },
    });
    await waitFor(hasArrived(relay, 'code@example.com'), { what: 'the code', detail: postern.output });
    await send({ to: 'other@example.com' });
    await waitFor(hasArrived(relay, 'other@example.com'), { what: 'the other letter', detail: postern.output });
    for (const id of hung) {
      const { body } = await postern.call('GET', `/emails/${id}`, { token });
      assert.equal(body.status, 'sending');
    }
  });
});

describe('F10 two relays, the first of which says nothing', () => {
  let silent: ScriptedSmtp;
  let other: ScriptedSmtp;
  let postern: Postern;
  let isSilent = true;
  before(async () => {
    silent = await startScriptedSmtp({ on: (stage) => (stage === 'greeting' && isSilent ? 'hang' : undefined) });
    other = await startScriptedSmtp();
    postern = await startPostern({ env: { SMTP_URL: `${silent.url},${other.url}`, POSTERN_ENV: 'development' } });
  });
  after(async () => {
    await silent.close();
    await other.close();
    await postern.dispose();
  });

  it('send by the second, ask the first without a letter, and use it again once it speaks', async () => {
    const token = await tokenOf(postern);
    const send = async (to: string) => {
      const { body } = await postern.call('POST', '/emails', { token, json: { to, subject: 'x' } });
      return body.id as string;
    };
    await send('first@example.com');
    await waitFor(hasArrived(other, 'first@example.com'), { what: 'the first letter' });
    const asked = silent.connections();
    for (let i = 0; i < 60; i++) {
      await send(`r${i}@example.com`);
      await waitFor(hasArrived(other, `r${i}@example.com`), { what: `letter ${i}` });
    }
    // It is asked as time goes by, not for each letter.
    assert.ok(silent.connections() - asked < 10, `${silent.connections() - asked} connections`);
    isSilent = false;
    let count = 0;
    await waitFor(
      async () => {
        await send(`again${count++}@example.com`);
        return silent.received.length > 0;
      },
      { what: 'the first relay to be used again', seconds: 60 },
    );
  });
});

describe('with no relay to be reached', () => {
  it('letters can be seen as queued and canceled, and the others leave once there is one', async () => {
    const [port = 0] = await freePorts(1);
    const postern = await startPostern({ env: { SMTP_URL: `smtp://127.0.0.1:${port}`, POSTERN_ENV: 'development' } });
    let relay: ScriptedSmtp | undefined;
    try {
      const token = await tokenOf(postern);
      const emails = Array.from({ length: 60 }, (_, i) => ({ to: `r${i}@example.com`, subject: 'x' }));
      const { body } = await postern.call('POST', '/emails/batch', { token, json: emails });
      const ids: string[] = body.data.map(({ id }: { id: string }) => id);
      // One that is being tried at the moment cannot be canceled; it can be a little later.
      const cancel = async (status: string) => {
        const list = await postern.call('GET', `/emails?status=${status}`, { token });
        const id = list.body.data[0]?.id;
        const reply = id && (await postern.call('POST', `/emails/${id}/cancel`, { token }));
        return reply?.status === 200 && (id as string);
      };
      const canceled = [];
      for (const status of ['deferred', 'queued']) {
        canceled.push(await waitFor(() => cancel(status), { what: `a ${status} letter to be canceled` }));
      }
      relay = await startScriptedSmtp({ port });
      const { received } = relay;
      await waitFor(() => received.length === ids.length - 2, { what: 'the others', detail: postern.output });
      for (const id of canceled) {
        const { body: one } = await postern.call('GET', `/emails/${id}`, { token });
        assert.deepEqual([one.status, one.recipients[0].status], ['canceled', 'canceled']);
      }
    } finally {
      await relay?.close();
      await postern.dispose();
    }
  });
});

describe('a relay that comes back', () => {
  it('is found although every letter waits for a time that its absence has set', async () => {
    let isOpen = false;
    const relay = await startScriptedSmtp({
      extensions: ['AUTH PLAIN'],
      on: (stage) => (stage === 'AUTH' && !isOpen ? '535 5.7.8 wrong password' : undefined),
    });
    const url = relay.url.replace('//', '//user:password@');
    const postern = await startPostern({ env: { SMTP_URL: url, POSTERN_ENV: 'development' } });
    try {
      const token = await tokenOf(postern);
      const { body } = await postern.call('POST', '/emails', { token, json: { to: 'a@example.com', subject: 'x' } });
      const read = async () => (await postern.call('GET', `/emails/${body.id}`, { token })).body;
      const waiting = await waitFor(
        async () => {
          const email = await read();
          return email.status === 'deferred' && email;
        },
        { what: 'the letter to wait', detail: postern.output },
      );
      assert.match(waiting.recipients[0].last_reply.text, /535 .*wrong password/);
      isOpen = true;
      await waitFor(hasArrived(relay, 'a@example.com'), { what: 'the letter', detail: postern.output });
      assert.ok(Date.now() < Date.parse(waiting.recipients[0].next_attempt_at), 'it came only when its time had come');
    } finally {
      await postern.dispose();
      await relay.close();
    }
  });
});

describe('a send over a connection that hangs', () => {
  const hangingAt = (where: Stage) => startScriptedSmtp({ on: (stage) => (stage === where ? 'hang' : undefined) });

  for (const [stage, outcome] of [
    ['EHLO', 'deferred'],
    ['MAIL', 'deferred'],
    ['DATA', 'deferred'],
    ['body', 'uncertain'],
  ] as const) {
    it(`at ${stage} is ${outcome} when it is abandoned`, async () => {
      const relay = await hangingAt(stage);
      const transport = new SmtpTransport({ urls: [relay.url] });
      const sending = transport.send(message);
      await waitFor(() => relay.reached(stage), { what: stage });
      transport.abandon();
      const { results } = await sending;
      assert.equal(results[0]?.outcome, outcome);
      await transport.close();
      await relay.close();
    });
  }

  it('after a refusal is refused all the same', async () => {
    const relay = await startScriptedSmtp({
      on: (stage) => (stage === 'MAIL' ? '550 5.7.1 no' : stage === 'RSET' ? 'hang' : undefined),
    });
    const transport = new SmtpTransport({ urls: [relay.url] });
    const sending = transport.send(message);
    await waitFor(() => relay.reached('RSET'), { what: 'RSET' });
    transport.abandon();
    const { results } = await sending;
    assert.deepEqual([results[0]?.outcome, results[0]?.reply.code], ['failed', 550]);
    await transport.close();
    await relay.close();
  });

  it('is not tried over every other kept connection in turn', async () => {
    let isHanging = false;
    let asked = 0;
    const relay = await startScriptedSmtp({
      on: (stage) => {
        if (stage !== 'MAIL' || !isHanging) return undefined;
        asked++;
        return 'hang';
      },
    });
    const transport = new SmtpTransport({ urls: [relay.url] });
    await Promise.all([transport.send(message), transport.send(message), transport.send(message)]);
    isHanging = true;
    const sending = transport.send(message);
    await waitFor(() => asked > 0, { what: 'MAIL' });
    transport.abandon();
    await sending;
    assert.equal(asked, 1);
    await transport.close();
    await relay.close();
  });
});
