import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTransport } from 'nodemailer';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('the dev inbox of a running service', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());

  const send = (to: string, subject: string) =>
    createTransport({ host: '127.0.0.1', port: postern.inboxPort }).sendMail({
      from: 'Another Program <other@example.com>',
      to,
      subject,
      text: 'Hello',
    });
  const subjects = async (to: string) => {
    const { body } = await postern.call('GET', `/inbox/messages?to=${encodeURIComponent(to)}`);
    return body.data.map((message: { subject: string }) => message.subject);
  };

  it("shows Postern's own letters, with the code and the link in text and HTML", async () => {
    const account = { email: 'ann@example.com', password: 'a long pass phrase' };
    assert.equal((await postern.call('POST', '/auth/register', { json: account })).status, 201);
    const letter = await waitFor(
      async () => (await postern.call('GET', '/inbox/messages?to=ANN@example.com&limit=1')).body.data[0],
      { what: 'the letter', detail: postern.output },
    );
    assert.deepEqual(letter.to, ['ann@example.com']);
    assert.match(letter.from, /no-reply@localhost/);
    assert.match(letter.text, /\b\d{4}\b/);
    assert.ok(letter.text.includes('/auth/verify?token=') && letter.html.includes('/auth/verify?token='));
    const source = await postern.call('GET', `/inbox/messages/${letter.id}/source`);
    assert.match(source.text, /^Message-ID: </im);
  });

  it('keeps the mail of any other program, over a restart too', async () => {
    await send('bob@example.com', 'before');
    assert.equal(await postern.stop(), 0);
    postern = await postern.restart();
    assert.deepEqual(await subjects('bob@example.com'), ['before']);
    await send('bob@example.com', 'after');
    assert.deepEqual(await subjects('bob@example.com'), ['after', 'before']);
  });

  it('keeps a message it has answered 250 for when it is killed at once', async () => {
    await send('eve@example.com', 'accepted');
    await postern.kill();
    postern = await postern.restart();
    assert.deepEqual(await subjects('eve@example.com'), ['accepted']);
  });

  it('stops at once although a page listens to it', async () => {
    const events = await fetch(`${postern.url}/inbox/events`);
    assert.equal(await postern.stop(), 0);
    assert.match(await events.text(), /^retry: /);
    postern = await postern.restart();
  });

  it('does not exist in production', async () => {
    const production = await startPostern({
      env: {
        POSTERN_ENV: 'production',
        SECRET_KEY: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64'),
        MAIL_FROM: 'no-reply@example.com',
        SMTP_URL: `smtp://127.0.0.1:${postern.inboxPort}`,
      },
    });
    try {
      for (const path of ['/inbox', '/inbox/messages', '/inbox/events', '/inbox/inbox.js']) {
        assert.equal((await production.call('GET', path)).status, 404, path);
      }
    } finally {
      await production.dispose();
    }
  });
});
