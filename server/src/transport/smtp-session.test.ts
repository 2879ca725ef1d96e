/** Letters over a connection, past relays that misbehave in every phase of a transaction. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { outcomes, withRelay } from '../../test/support/relay.ts';
import type { Act, Moment, Stage } from '../../test/support/scripted-smtp.ts';

const pipelining = ['PIPELINING', 'SIZE 1000000', '8BITMIME', 'SMTPUTF8'];
const ways = [
  ['with PIPELINING', pipelining],
  ['without', ['SIZE 1000000']],
] as const;

describe('a letter', () => {
  it('goes in one round trip, and the commands of the next come with it (RFC 2920)', () => {
    const groups: string[] = [];
    const seen: string[] = [];
    return withRelay(
      {
        extensions: pipelining,
        on: (stage, _transaction, _line, { behind }) => {
          if (stage === 'MAIL') groups.push(behind);
          if (stage === 'body') seen.push(behind);
          return undefined;
        },
      },
      async ({ relay, send }) => {
        await Promise.all([send(), send(), send()]);
        assert.equal(relay.received.length, 3);
        for (const rest of groups) assert.equal(rest, 'RCPT TO:<b@example.com>\r\nDATA\r\n');
        const group = /^MAIL FROM:<a@example.com> SIZE=\d+\r\nRCPT TO:<b@example.com>\r\nDATA\r\n$/;
        assert.match(seen[0] ?? '', group);
        assert.match(seen[1] ?? '', group);
        assert.equal(seen[2], '');
        assert.equal(relay.connections(), 1);
      },
      { connections: 1 },
    );
  });
  it('waits for each reply where the server takes one command at a time', () => {
    let ahead = '';
    return withRelay(
      {
        on: (stage, _transaction, _line, { behind }) => {
          if (stage !== 'data') ahead ||= behind;
          return undefined;
        },
      },
      async ({ relay, send }) => {
        await Promise.all([send({ recipients: ['b@example.com', 'c@example.com'] }), send(), send()]);
        assert.equal(ahead, '');
        assert.equal(relay.received.length, 3);
        assert.equal(relay.connections(), 1);
      },
      { connections: 1 },
    );
  });

  for (const [way, extensions] of ways) {
    it(`${way} has 50 recipients, each with an answer of its own (F15)`, () =>
      withRelay(
        {
          extensions: [...extensions],
          on: (stage, _transaction, line) => {
            if (stage !== 'RCPT') return undefined;
            const number = Number(/r(\d+)@/.exec(line)?.[1]);
            return number % 3 === 1 ? '451 4.7.1 later' : number % 3 === 2 ? '550 5.1.1 no such user' : undefined;
          },
        },
        async ({ relay, send }) => {
          const recipients = Array.from({ length: 50 }, (_, i) => `r${i}@example.com`);
          const [first, second] = await Promise.all([send({ recipients }), send()]);
          const expected = ['sent 250', 'deferred 451', 'bounced 550'];
          assert.deepEqual(
            outcomes(first),
            recipients.map((_, i) => expected[i % 3]),
          );
          assert.deepEqual(outcomes(second), ['sent 250']);
          assert.equal(relay.received[0]?.rcptTo.length, 17);
        },
        { connections: 1 },
      ));

    for (const [stage, act, expected] of [
      ['MAIL', '550 5.7.1 no', 'failed 550'],
      ['MAIL', '451 4.3.0 later', 'deferred 451'],
      ['MAIL', '503 5.5.1 what?', 'deferred 503'],
      ['RCPT', '550 5.1.1 no such user', 'bounced 550'],
      ['RCPT', '452 4.5.3 too many', 'deferred 452'],
      ['DATA', '554 5.7.1 no', 'failed 554'],
      ['DATA', '451 4.3.0 later', 'deferred 451'],
      ['DATA', '503 5.5.1 what?', 'deferred 503'],
      ['body', '554 5.6.0 no', 'failed 554'],
      ['body', '451 4.3.0 later', 'deferred 451'],
      ['body', '503 5.5.1 what?', 'deferred 503'],
    ] as [Stage, string, string][]) {
      it(`${way} that is refused with ${act.slice(0, 3)} at ${stage} is ${expected}, and those around it are sent`, () =>
        withRelay(
          {
            extensions: [...extensions],
            on: (at, { rcptTo, mailFrom }, line) => {
              const isIt = line.includes('odd@') || mailFrom.includes('odd@') || rcptTo.includes('odd@example.com');
              if (at === 'RCPT' && mailFrom === '') return '503 5.5.1 no sender';
              if (at === 'DATA' && rcptTo.length === 0) return '503 5.5.1 no recipients';
              return at === stage && isIt ? act : undefined;
            },
          },
          async ({ relay, send }) => {
            const odd = stage === 'MAIL' ? { from: 'odd@example.com' } : { recipients: ['odd@example.com'] };
            const deliveries = await Promise.all([send(), send(odd), send()]);
            assert.deepEqual(deliveries.flatMap(outcomes), ['sent 250', expected, 'sent 250']);
            assert.equal(relay.received.length, 2);
            if (!act.startsWith('503')) assert.equal(relay.connections(), 1);
            assert.equal((await send()).results[0]?.outcome, 'sent');
          },
          { connections: 1 },
        ));
    }

    it(`${way} for whom nobody is left is not sent, even where the server asks for it`, () =>
      withRelay(
        { extensions: [...extensions], on: (stage) => (stage === 'RCPT' ? '550 5.1.1 no such user' : undefined) },
        async ({ relay, send }) => {
          assert.deepEqual(outcomes(await send()), ['bounced 550']);
          assert.deepEqual(outcomes(await send()), ['bounced 550']);
          assert.ok(relay.received.every(({ data }) => data.length === 0));
          assert.equal(relay.connections(), 1);
        },
      ));

    it(`${way} that waits for 421 to pass is put off, and the connection is left`, async () => {
      for (const stage of ['MAIL', 'RCPT', 'DATA', 'body'] as Stage[]) {
        await withRelay(
          { extensions: [...extensions], on: (at) => (at === stage ? '421 4.3.2 shutting down' : undefined) },
          async ({ relay, send }) => {
            const delivery = await send();
            assert.deepEqual(outcomes(delivery), ['deferred 421'], stage);
            assert.equal(delivery.reached, true);
            assert.equal(relay.connections(), 1);
          },
        );
      }
    });

    for (const [stage, outcome] of [
      ['MAIL', 'deferred'],
      ['RCPT', 'deferred'],
      ['DATA', 'deferred'],
      ['body', 'uncertain'],
    ] as [Stage, string][]) {
      for (const act of ['cut', 'hang'] as const) {
        it(`${way} is ${outcome} where the server ${act === 'cut' ? 'cuts' : 'hangs'} at ${stage} (F10, F12, F13)`, () =>
          withRelay(
            { extensions: [...extensions], on: (at) => (at === stage ? act : undefined) },
            async ({ relay, send }) => {
              const { results, reached } = await send();
              assert.deepEqual([results[0]?.outcome, results[0]?.reply.enhanced], [outcome, '4.4.2']);
              assert.equal(reached, true);
              assert.equal(relay.connections(), 1);
            },
            act === 'hang' ? { patience: { reply: 80, dot: 80, tick: 10 } } : {},
          ));
      }
    }

    it(`${way} that a refused recipient has keeps that refusal when the connection is lost`, () =>
      withRelay(
        {
          extensions: [...extensions],
          on: (stage, _transaction, line) => {
            if (line.includes('gone@')) return '550 5.1.1 no such user';
            return stage === 'body' ? 'cut' : undefined;
          },
        },
        async ({ send }) => {
          const delivery = await send({ recipients: ['gone@example.com', 'b@example.com'] });
          assert.deepEqual(outcomes(delivery), ['bounced 550', 'uncertain']);
        },
      ));
  }

  it('is bounded in time with a server that says a byte now and then (F11)', async () => {
    for (const [stage, outcome] of [
      ['MAIL', 'deferred'],
      ['body', 'uncertain'],
    ] as const) {
      await withRelay(
        { extensions: pipelining, on: (at) => (at === stage ? 'drip' : undefined) },
        async ({ send }) => assert.deepEqual(outcomes(await send()), [outcome]),
        { patience: { reply: 100, dot: 100, tick: 10 } },
      );
    }
  });

  it('is bounded in time with a server that gets on steadily, and slowly', () =>
    withRelay(
      {
        on: async (stage) => {
          if (stage === 'RCPT') await new Promise((resolve) => setTimeout(resolve, 20));
          return undefined;
        },
      },
      async ({ send }) => {
        const recipients = Array.from({ length: 500 }, (_, i) => `r${i}@example.com`);
        assert.ok(outcomes(await send({ recipients })).every((outcome) => outcome === 'deferred'));
      },
      { patience: { letter: 200, tick: 10 } },
    ));
});

describe('what was written behind a letter', () => {
  /** Two letters over one connection; on the first connection the first letter meets `act` at its final dot. */
  const twoLetters = async (act: Act, expected: string[], patience = {}) => {
    let isFirst = true;
    await withRelay(
      {
        extensions: pipelining,
        on: (stage: Stage, _transaction: unknown, _line: string, { behind }: Moment) => {
          if (stage !== 'body' || !isFirst) return undefined;
          isFirst = false;
          assert.match(behind, /^MAIL /);
          return act;
        },
      },
      async ({ relay, send }) => {
        const deliveries = await Promise.all([send(), send({ recipients: ['c@example.com'] })]);
        assert.deepEqual(deliveries.flatMap(outcomes), expected);
        assert.equal(relay.received.filter(({ rcptTo }) => rcptTo.includes('c@example.com')).length, 1);
        assert.equal(relay.connections(), act?.startsWith('5') ? 1 : 2);
      },
      { connections: 1, patience },
    );
  };

  it('is untouched by its refusal', () => twoLetters('554 5.6.0 no', ['failed 554', 'sent 250']));
  it('goes over another connection when this one is cut', () => twoLetters('cut', ['uncertain', 'sent 250']));
  it('goes over another connection when the server leaves', () =>
    twoLetters('421 4.3.2 bye', ['deferred 421', 'sent 250']));
  it('goes over another connection when the answer is late, before that answer comes', () =>
    twoLetters('hang', ['uncertain', 'sent 250'], { stall: 50, dot: 400, tick: 10 }));

  it('is taken back from a connection that is used for nothing more', () => {
    let release = () => {};
    const held = new Promise<undefined>((resolve) => {
      release = () => resolve(undefined);
    });
    let isFirst = true;
    return withRelay(
      {
        extensions: pipelining,
        on: (stage, _transaction, line, { connection }) => {
          // What was written behind the slow letter is answered when a further one may have come.
          if (connection === 1 && line.startsWith('MAIL') && !isFirst)
            return new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 50));
          if (stage !== 'body' || !isFirst) return undefined;
          isFirst = false;
          return held;
        },
      },
      async ({ relay, send }) => {
        const slow = send();
        assert.deepEqual(outcomes(await send({ recipients: ['c@example.com'] })), ['sent 250']);
        release();
        assert.deepEqual(outcomes(await slow), ['sent 250']);
        await send({ recipients: ['d@example.com'] });
        assert.deepEqual(
          relay.received.map(({ rcptTo }) => rcptTo),
          [['c@example.com'], ['b@example.com'], ['d@example.com']],
        );
        assert.equal(relay.connections(), 2);
      },
      { connections: 1, patience: { stall: 50, tick: 10 } },
    );
  });
});

describe('a server that answers out of order', () => {
  for (const [what, stage, act, outcome] of [
    ['250 where the message is due', 'DATA', '250 2.0.0 already', 'deferred'],
    ['354 to MAIL', 'MAIL', '354 go on', 'deferred'],
    ['354 to RCPT', 'RCPT', '354 go on', 'deferred'],
    ['the reply before the message', 'DATA', '354 go on\r\n250 2.0.0 kept', 'deferred'],
    ['a reply too many', 'MAIL', '250 2.1.0 ok\r\n250 2.1.0 ok', 'deferred'],
    ['354 to the final dot', 'body', '354 go on', 'uncertain'],
    ['no SMTP at all', 'MAIL', 'HTTP/1.1 400 Bad Request', 'deferred'],
    ['no SMTP at all in the end', 'body', '{"ok":true}', 'uncertain'],
  ] as [string, Stage, string, string][]) {
    it(`(${what}) is believed nothing`, () =>
      withRelay({ extensions: pipelining, on: (at) => (at === stage ? act : undefined) }, async ({ relay, send }) => {
        const { results } = await send();
        assert.deepEqual([results[0]?.outcome, results[0]?.reply.enhanced], [outcome, '4.5.0']);
        assert.deepEqual(relay.received, []);
      }));
  }

  it('(a stray reply after a letter) sends no other letter by it', () => {
    let count = 0;
    return withRelay(
      {
        extensions: pipelining,
        on: (stage) => (stage === 'body' && count++ === 0 ? '250 2.0.0 kept\r\n250 2.0.0 kept' : undefined),
      },
      async ({ relay, send }) => {
        const deliveries = await Promise.all([send(), send({ recipients: ['c@example.com'] })]);
        // The first was answered; the second met an answer too many, and nothing of it was sent there.
        assert.equal(deliveries[0].results[0]?.outcome, 'sent');
        const isSent = deliveries[1].results[0]?.outcome === 'sent';
        assert.equal(relay.received.filter(({ rcptTo }) => rcptTo.includes('c@example.com')).length, isSent ? 1 : 0);
      },
      { connections: 1 },
    );
  });

  it('(a message wanted that was refused) gets none', () =>
    withRelay(
      {
        extensions: pipelining,
        on: (_stage, _transaction, line) => (line.startsWith('MAIL FROM:<odd@') ? '550 5.7.1 no' : undefined),
      },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send({ from: 'odd@example.com' })), ['failed 550']);
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.received.length, 1);
      },
    ));

  it('(a word at rest) is not used again', () =>
    withRelay(
      {
        on: (stage, _transaction, _line, { connection }) =>
          stage === 'RSET' && connection === 1
            ? '250 ok\r\n250 what I wanted to say'
            : stage === 'RCPT' && connection === 1
              ? '550 5.1.1 no such user'
              : undefined,
      },
      async ({ relay, send }) => {
        assert.deepEqual(outcomes(await send()), ['bounced 550']);
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.connections(), 2);
      },
    ));
});

describe('what a relay does not take', () => {
  it('is not sent: larger than SIZE', () =>
    withRelay({ extensions: ['PIPELINING', 'SIZE 10'] }, async ({ relay, send }) => {
      const { results, reached } = await send();
      assert.deepEqual([results[0]?.outcome, results[0]?.reply.enhanced, reached], ['failed', '5.3.4', true]);
      assert.ok(!relay.commands.some((line) => line.startsWith('MAIL')));
      // The connection is as good as before.
      assert.deepEqual(outcomes(await send({ size: 0, content: Buffer.alloc(0) })), ['sent 250']);
      assert.equal(relay.connections(), 1);
    }));

  it('is not sent: an address that only SMTPUTF8 can write, without it (S46)', () =>
    withRelay({ extensions: ['PIPELINING', '8BITMIME'] }, async ({ relay, send }) => {
      const delivery = await send({ recipients: ['jürgen@example.com', 'b@example.com', 'c@münchen.example'] });
      assert.deepEqual(outcomes(delivery), ['bounced', 'sent 250', 'sent 250']);
      assert.equal(delivery.results[0]?.reply.enhanced, '5.6.7');
      assert.deepEqual(relay.received[0]?.rcptTo, ['b@example.com', 'c@xn--mnchen-3ya.example']);
      const other = await send({ from: 'jürgen@example.com' });
      assert.deepEqual([outcomes(other), other.results[0]?.reply.enhanced], [['failed'], '5.6.7']);
    }));

  it('is not sent: a header in UTF-8, without SMTPUTF8 (RFC 6531 3.1)', async () => {
    const content = Buffer.from('To: jürgen@example.com\r\n\r\nx\r\n');
    await withRelay({ extensions: ['PIPELINING', '8BITMIME'] }, async ({ relay, send }) => {
      const delivery = await send({ content, size: content.length });
      assert.deepEqual([outcomes(delivery), delivery.results[0]?.reply.enhanced], [['failed'], '5.6.7']);
      assert.deepEqual(relay.received, []);
    });
    await withRelay({ extensions: pipelining }, async ({ relay, send }) => {
      assert.deepEqual(outcomes(await send({ content, size: content.length })), ['sent 250']);
      assert.ok(relay.commands.some((line) => / BODY=8BITMIME SMTPUTF8$/.test(line)));
    });
  });

  it('is told: SMTPUTF8, 8-bit and size', () =>
    withRelay({ extensions: pipelining }, async ({ relay, send }) => {
      const content = Buffer.from('Subject: x\r\n\r\nä\r\n');
      await send();
      await send({ content, size: content.length });
      await send({ recipients: ['jürgen@example.com'] });
      const mails = relay.commands.filter((line) => line.startsWith('MAIL'));
      assert.deepEqual(mails, [
        'MAIL FROM:<a@example.com> SIZE=17',
        `MAIL FROM:<a@example.com> SIZE=${content.length} BODY=8BITMIME`,
        'MAIL FROM:<a@example.com> SIZE=17 SMTPUTF8',
      ]);
      assert.equal(relay.received[2]?.rcptTo[0], 'jürgen@example.com');
    }));

  it('is not sent: an address that would be more than one', () =>
    withRelay({ extensions: pipelining }, async ({ relay, send }) => {
      for (const evil of ['b@example.com>\r\nRCPT TO:<x@evil', 'b@example.com> SIZE=1', 'b\0@example.com']) {
        assert.deepEqual(outcomes(await send({ recipients: [evil] })), ['bounced']);
        assert.deepEqual(outcomes(await send({ from: evil })), ['failed']);
      }
      assert.ok(!relay.commands.some((line) => /evil|MAIL/.test(line)));
    }));
});

describe('the bytes of a message', () => {
  for (const [what, text, expected] of [
    ['dots', '.\r\n..\r\na.\r\n', '..\r\n...\r\na.\r\n'],
    [
      'what looks like its end',
      'a\n.\nb\r.\rc\r\n.\r\nMAIL FROM:<x@evil>',
      'a\r\n..\r\nb\r\n..\r\nc\r\n..\r\nMAIL FROM:<x@evil>\r\n',
    ],
    ['no line end', 'a', 'a\r\n'],
    ['nothing', '', ''],
  ] as const) {
    it(`arrive as one message with ${what} (S44)`, () =>
      withRelay(
        { extensions: pipelining },
        async ({ relay, send }) => {
          const content = Buffer.from(text);
          const pieces = async function* () {
            for (const octet of content) yield Buffer.of(octet);
          };
          await Promise.all([send({ content }), send({ content: pieces }), send()]);
          assert.deepEqual(
            relay.received.map(({ data }) => data.toString()),
            [expected, expected, 'Subject: x\r\n\r\ny\r\n'],
          );
        },
        { connections: 1 },
      ));
  }
});
