/** What a relay answers, or how it breaks off, and what becomes of the letter (F12 to F15), through the whole service. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { tokenOf } from '../support/judge.ts';
import { type ScriptedSmtp, type Stage, startScriptedSmtp } from '../support/scripted-smtp.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('a relay that refuses or breaks off', () => {
  let relay: ScriptedSmtp;
  let postern: Postern;
  let token: string;
  /** How the relay answers the sender in this stage. */
  const script = new Map<string, string>();
  /** Messages whose final dot came, taken or not: Message-IDs. */
  const dots: string[] = [];

  before(async () => {
    relay = await startScriptedSmtp({
      extensions: ['PIPELINING'],
      on: (stage, { mailFrom, data }, line) => {
        if (stage === 'body') dots.push(messageIdOf(data));
        const recipient = stage === 'RCPT' ? (/<([^>]*)>/.exec(line)?.[1] ?? '') : '';
        const sender = stage === 'MAIL' ? (/<([^>]*)>/.exec(line)?.[1] ?? '') : mailFrom;
        return script.get(`${stage} ${recipient}`) ?? script.get(`${stage} ${sender}`);
      },
    });
    postern = await startPostern({ env: { SMTP_URL: relay.url, POSTERN_ENV: 'development' } });
    token = await tokenOf(postern);
  });
  after(async () => {
    await postern.dispose();
    await relay.close();
  });

  const send = async (from: string, json: object = {}) => {
    const to = `to-${from}`;
    const reply = await postern.call('POST', '/emails', {
      token,
      json: { from, to, subject: 'x', text: 'y', ...json },
    });
    assert.equal(reply.status, 202, reply.text);
    return reply.body.id as string;
  };
  const read = async (id: string) => (await postern.call('GET', `/emails/${id}`, { token })).body;
  const tried = (id: string) =>
    waitFor(
      async () => {
        const email = await read(id);
        return email.recipients[0].attempts > 0 && !['queued', 'sending'].includes(email.status) && email;
      },
      { what: 'the attempt', detail: postern.output },
    );
  const sent = (id: string) =>
    waitFor(async () => (await read(id)).status === 'sent' && read(id), { what: 'the letter', detail: postern.output });
  const retry = async (id: string) => {
    const reply = await postern.call('POST', `/emails/${id}/retry`, { token });
    assert.equal(reply.status, 200, reply.text);
  };
  const arrivals = (id: string) => dots.filter((messageId) => messageId === id).length;

  const codes = ['421', '451', '452', '550', '552', '554'];
  for (const stage of ['MAIL', 'RCPT', 'DATA', 'body'] as Stage[]) {
    it(`F14 421, 451 and 452 at ${stage} wait for another attempt, 550, 552 and 554 are the end at once`, async () => {
      const letters = [];
      for (const code of codes) {
        const from = `${code}-${stage}@example.com`.toLowerCase();
        script.set(`${stage} ${stage === 'RCPT' ? `to-${from}` : from}`, `${code} ${code[0]}.0.0 no`);
        letters.push(await send(from));
      }
      const statuses = [];
      for (const [i, id] of letters.entries()) {
        const { status, recipients, events } = await tried(id);
        assert.equal(recipients[0].last_reply.code, Number(codes[i]));
        assert.equal(recipients[0].next_attempt_at !== null, status === 'deferred');
        assert.ok(events.some(({ type }: { type: string }) => type === `email.${expectedEvent(status)}`));
        statuses.push(status);
      }
      const end = stage === 'RCPT' ? 'bounced' : 'failed';
      assert.deepEqual(statuses, ['deferred', 'deferred', 'deferred', end, end, end]);
    });
  }

  it('F15 of 250, 451 and 550 only the 451 is tried again', async () => {
    const from = 'mixed@example.com';
    const [good, later, never] = ['good@example.com', 'later@example.com', 'never@example.com'];
    script.set(`RCPT ${later}`, '451 4.2.0 later');
    script.set(`RCPT ${never}`, '550 5.2.0 never');
    const id = await send(from, { to: [good, later, never] });
    await waitFor(async () => (await read(id)).status === 'deferred', { what: 'the first attempt' });
    script.delete(`RCPT ${later}`);
    await retry(id);
    const email = await waitFor(
      async () => {
        const one = await read(id);
        return one.recipients[1].status === 'sent' && one;
      },
      { what: 'the second attempt', detail: postern.output },
    );
    assert.deepEqual(
      email.recipients.map(({ status }: { status: string }) => status),
      ['sent', 'sent', 'bounced'],
    );
    const envelopes = relay.received.filter(({ mailFrom }) => mailFrom === from).map(({ rcptTo }) => rcptTo);
    assert.deepEqual(envelopes, [[good], [later]]);
  });

  it('F12 a cut in DATA is tried again and makes no duplicate', async () => {
    const from = 'cut-in-data@example.com';
    script.set(`DATA ${from}`, 'cut');
    const id = await send(from, { on_uncertain: 'hold' });
    const { status, message_id: messageId } = await tried(id);
    assert.equal(status, 'deferred');
    script.delete(`DATA ${from}`);
    await retry(id);
    await sent(id);
    assert.equal(arrivals(messageId), 1);
  });

  it('F13 a cut after the final dot is uncertain: held where that is asked for', async () => {
    const from = 'cut-and-hold@example.com';
    script.set(`body ${from}`, 'cut');
    const id = await send(from, { on_uncertain: 'hold' });
    const { status, message_id: messageId } = await tried(id);
    assert.equal(status, 'uncertain');
    assert.equal(arrivals(messageId), 1);
  });

  it('F13 a cut after the final dot is otherwise tried again, once, under the same Message-ID', async () => {
    const from = 'cut-and-retry@example.com';
    script.set(`body ${from}`, 'cut');
    const id = await send(from);
    const { status, message_id: messageId } = await tried(id);
    assert.equal(status, 'deferred');
    script.delete(`body ${from}`);
    await retry(id);
    const { events } = await sent(id);
    assert.ok(events.some(({ type }: { type: string }) => type === 'email.uncertain'));
    assert.equal(arrivals(messageId), 2);
  });
});

function expectedEvent(status: string): string {
  return status === 'deferred' ? 'delivery_delayed' : status;
}

function messageIdOf(data: Buffer): string {
  return /^Message-ID:\s*(\S+)/im.exec(data.toString('latin1'))?.[1] ?? '';
}
