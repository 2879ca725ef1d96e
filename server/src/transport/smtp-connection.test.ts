/** The way to a connection, past relays that misbehave at each step of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { outcomes, withRelay } from '../../test/support/relay.ts';
import type { ScriptedSmtp, Stage } from '../../test/support/scripted-smtp.ts';

const login = (relay: ScriptedSmtp) => relay.url.replace('://', '://user:secret@');
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('a connection', () => {
  for (const stage of ['greeting', 'EHLO', 'STARTTLS', 'AUTH'] as Stage[]) {
    const extensions = stage === 'STARTTLS' ? ['STARTTLS'] : ['AUTH PLAIN'];
    for (const act of ['hang', 'cut', '421 4.3.2 not now', '454 4.7.0 not now', 'HTTP/1.1 400 Bad Request'] as const) {
      it(`that is not had because of "${act}" at ${stage} leaves letters unreached`, () =>
        withRelay(
          { extensions, on: (at) => (at === stage ? act : undefined) },
          async ({ send }) => {
            const delivery = await send();
            assert.deepEqual(outcomes(delivery), ['deferred']);
            assert.equal(delivery.reached, false);
            assert.equal(delivery.results[0]?.reply.enhanced, '4.4.1');
          },
          { url: login, patience: { greeting: 100, reply: 100 } },
        ));
    }
  }

  it('to a relay that says a byte now and then is given up in bounded time (F11)', () =>
    withRelay(
      { on: (stage) => (stage === 'greeting' ? 'drip' : undefined) },
      async ({ send }) => {
        const delivery = await send();
        assert.equal(delivery.reached, false);
        assert.match(delivery.results[0]?.reply.text ?? '', /too long/);
      },
      // Of the waits for single steps none would end it soon.
      { patience: { open: 150, greeting: 60_000, reply: 60_000 } },
    ));

  it('greets by HELO where EHLO is not known', () =>
    withRelay({ on: (stage) => (stage === 'EHLO' ? '502 5.5.1 what?' : undefined) }, async ({ relay, send }) => {
      assert.deepEqual(outcomes(await send()), ['sent 250']);
      assert.match(relay.commands[1] ?? '', /^HELO \S+$/);
      assert.ok(!relay.commands.some((line) => /SIZE|BODY/.test(line)));
    }));

  it('refuses a server that answers what was not asked', () =>
    withRelay(
      { on: (stage) => (stage === 'greeting' ? '220 hello\r\n250 hello again' : undefined) },
      async ({ send, relay }) => {
        assert.equal((await send()).reached, false);
        assert.deepEqual(relay.received, []);
      },
    ));

  it('understands replies whose octets come one by one', () =>
    withRelay({ isDrippy: true, extensions: ['PIPELINING', 'SIZE 1000000'] }, async ({ send }) => {
      for (let i = 0; i < 3; i++) assert.deepEqual(outcomes(await send()), ['sent 250']);
    }));
});

describe('TLS', () => {
  it('begins with STARTTLS where it is offered, and all that matters is said after it', () =>
    withRelay(
      { extensions: ['STARTTLS', 'AUTH PLAIN', 'PIPELINING'] },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        const [first = '', starttls, second = '', auth = ''] = relay.commands;
        assert.match(first, /^EHLO /);
        assert.equal(starttls, 'STARTTLS');
        assert.match(second, /^EHLO /);
        assert.equal(auth, `AUTH PLAIN ${base64('\0user\0secret')}`);
      },
      { url: login },
    ));

  it('begins with the first byte for smtps, and carries large and small letters', () =>
    withRelay({ isSecure: true, extensions: ['PIPELINING'] }, async ({ relay, send }) => {
      const line = `${'x'.repeat(70)}\r\n`;
      const large = Buffer.from(line.repeat(10_000));
      await Promise.all([send(), send({ content: large, size: large.length }), send()]);
      assert.deepEqual(relay.received.map(({ data }) => data.length).sort(), [17, 17, large.length]);
    }));

  it('forgets what the server offered in the clear', () =>
    withRelay(
      {
        extensions: ['STARTTLS', 'SIZE 1'],
        on: (stage, _transaction, _line, { isEncrypted }) =>
          stage === 'EHLO' && isEncrypted ? '250 scripted.test' : undefined,
      },
      async ({ send }) => assert.deepEqual(outcomes(await send()), ['sent 250']),
    ));

  it('does not begin where something was slipped in behind the go-ahead', () =>
    withRelay(
      {
        extensions: ['STARTTLS'],
        on: (stage) => (stage === 'STARTTLS' ? '220 go on\r\n250 mine' : undefined),
      },
      async ({ relay, send }) => {
        const { reached, results } = await send();
        assert.equal(reached, false);
        assert.match(results[0]?.reply.text ?? '', /in the clear/);
        assert.equal(relay.commands.at(-1), 'STARTTLS');
      },
    ));

  it('is never gone without once it was offered', () =>
    withRelay(
      { extensions: ['STARTTLS'], on: (stage) => (stage === 'STARTTLS' ? '220 go on' : undefined) },
      async ({ relay, send }) => {
        // The server does not speak TLS, whatever it says.
        assert.equal((await send()).reached, false);
        assert.ok(!relay.commands.some((line) => line.startsWith('MAIL')));
      },
      { patience: { connect: 200 } },
    ));

  it('is demanded by ?tls=required, and nothing is said to a relay without', () =>
    withRelay(
      { extensions: ['AUTH PLAIN'], on: (stage) => (stage === 'STARTTLS' ? '502 5.5.1 what?' : undefined) },
      async ({ relay, send }) => {
        assert.equal((await send()).reached, false);
        assert.ok(!relay.commands.some((line) => /^(AUTH|MAIL)/.test(line)));
      },
      { url: (relay) => `${login(relay)}?tls=required` },
    ));

  it('is done without by ?tls=never', () =>
    withRelay(
      { extensions: ['STARTTLS'] },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.ok(!relay.commands.includes('STARTTLS'));
      },
      { url: (relay) => `${relay.url}?tls=never` },
    ));

  for (const isSecure of [true, false]) {
    it(`shows nothing to a host whose certificate nobody has signed (${isSecure ? 'smtps' : 'STARTTLS'}) (S50)`, () =>
      withRelay(
        { isSecure, host: '0.0.0.0', extensions: ['STARTTLS', 'AUTH PLAIN'] },
        async ({ relay, send }) => {
          const { reached, results } = await send();
          assert.equal(reached, false);
          assert.match(results[0]?.reply.text ?? '', /certificate|self.signed|altnames|IP/i);
          assert.ok(!relay.commands.some((line) => /^(AUTH|MAIL)/.test(line)));
        },
        // An address of this machine that is not told to be one.
        { url: (relay) => login(relay).replace('127.0.0.1', '0.0.0.0') },
      ));
  }
});

describe('the login', () => {
  const refusal = '535 5.7.8 wrong password';

  it('is by PLAIN, where both are offered', () =>
    withRelay(
      { extensions: ['AUTH LOGIN PLAIN CRAM-MD5'] },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.commands[1], `AUTH PLAIN ${base64('\0user\0secret')}`);
      },
      { url: login },
    ));

  it('is by LOGIN, where nothing better is, also in the words of old servers', () =>
    withRelay(
      {
        extensions: ['AUTH=LOGIN'],
        on: (stage, _transaction, line) => {
          if (stage !== 'AUTH') return undefined;
          return line === 'AUTH LOGIN' ? '334 VXNlcm5hbWU6' : line === base64('user') ? '334 UGFzc3dvcmQ6' : undefined;
        },
      },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.deepEqual(relay.commands.slice(1, 4), ['AUTH LOGIN', base64('user'), base64('secret')]);
      },
      { url: login },
    ));

  it('is by LOGIN, where PLAIN turns out not to be known', () =>
    withRelay(
      {
        extensions: ['AUTH PLAIN LOGIN'],
        on: (stage, _transaction, line) =>
          line.startsWith('AUTH PLAIN')
            ? '504 5.5.4 what?'
            : stage === 'AUTH' && line !== base64('secret')
              ? '334 '
              : undefined,
      },
      async ({ send }) => assert.deepEqual(outcomes(await send()), ['sent 250']),
      { url: login },
    ));

  it('is by XOAUTH2 where the URL says so, and only then', () =>
    withRelay(
      {
        extensions: ['AUTH XOAUTH2'],
        on: (stage, _transaction, line) => (stage !== 'AUTH' ? undefined : line === '' ? refusal : '334 e30='),
      },
      async ({ relay, send }) => {
        const { results } = await send();
        assert.match(results[0]?.reply.text ?? '', /535 .*wrong password/);
        const response = base64('user=user\x01auth=Bearer secret\x01\x01');
        assert.deepEqual(relay.commands.slice(1, 3), [`AUTH XOAUTH2 ${response}`, '']);
      },
      { url: (relay) => `${login(relay)}?auth=xoauth2` },
    ));

  it('waits to be asked for a token that fits into no command line (RFC 4954 4)', () =>
    withRelay(
      {
        extensions: ['AUTH XOAUTH2'],
        on: (_stage, _transaction, line) => (line === 'AUTH XOAUTH2' ? '334 ' : undefined),
      },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.ok(relay.commands.every((line, i) => i === 2 || line.length <= 510));
      },
      { url: (relay) => `${login(relay).replace('secret', 't'.repeat(2_000))}?auth=xoauth2` },
    ));

  it('is not tried by a mechanism that the URL does not name', () =>
    withRelay(
      { extensions: ['AUTH PLAIN XOAUTH2'] },
      async ({ relay, send }) => {
        assert.equal((await send()).reached, false);
        assert.ok(!relay.commands.some((line) => line.startsWith('AUTH')));
      },
      { url: (relay) => `${login(relay)}?auth=login` },
    ));

  it('that is refused is tried once, however many letters wait', () =>
    withRelay(
      { extensions: ['AUTH PLAIN'], on: (stage) => (stage === 'AUTH' ? refusal : undefined) },
      async ({ relay, send }) => {
        const deliveries = await Promise.all(Array.from({ length: 50 }, () => send()));
        assert.ok(deliveries.every(({ reached }) => !reached));
        assert.equal(relay.commands.filter((line) => line.startsWith('AUTH')).length, 1);
      },
      { url: login },
    ));
});
