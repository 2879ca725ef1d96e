/** Many letters, several connections: who goes where, and what one connection's trouble is to the others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aMessage } from '../../test/support/message.ts';
import { outcomes, withRelay } from '../../test/support/relay.ts';
import { startScriptedSmtp } from '../../test/support/scripted-smtp.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { SmtpTransport } from './smtp.ts';
import { NoLongerOurs } from './transport.ts';

const extensions = ['PIPELINING'];

/** A promise, and how to keep it. */
function gate() {
  let open = () => {};
  const opened = new Promise<undefined>((resolve) => {
    open = () => resolve(undefined);
  });
  return { open, opened };
}

describe('letters that wait', () => {
  it('are spread evenly over as many connections as there may be, which are kept', async () => {
    const perConnection = new Map<number, number>();
    await withRelay(
      {
        extensions,
        on: (stage, _transaction, _line, { connection }) => {
          if (stage === 'body') perConnection.set(connection, (perConnection.get(connection) ?? 0) + 1);
          return undefined;
        },
      },
      async ({ relay, send }) => {
        for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 200 }, () => send()));
        assert.equal(relay.received.length, 600);
        assert.equal(relay.connections(), 5);
        for (const count of perConnection.values()) assert.ok(count > 60 && count < 180, `${count} of 600`);
      },
      { connections: 5 },
    );
  });

  it('one after the other, need one connection', () =>
    withRelay({ extensions }, async ({ relay, send }) => {
      for (let i = 0; i < 30; i++) await send();
      assert.equal(relay.connections(), 1);
    }));

  it('go over a new connection after a thousand', () =>
    withRelay(
      { extensions },
      async ({ relay, send }) => {
        await Promise.all(Array.from({ length: 2_500 }, () => send()));
        assert.equal(relay.received.length, 2_500);
        assert.equal(relay.connections(), 3);
        assert.equal(relay.commands.filter((line) => line === 'QUIT').length, 2);
      },
      { connections: 1 },
    ));

  for (const act of ['421 4.7.0 enough of this connection', 'cut'] as const) {
    it(`go on over another connection where the relay ends each with "${act}" after 10`, async () => {
      const perConnection = new Map<number, number>();
      await withRelay(
        {
          extensions,
          on: (stage, _transaction, _line, { connection }) => {
            const count = perConnection.get(connection) ?? 0;
            if (stage === 'MAIL') perConnection.set(connection, count + 1);
            return stage === 'MAIL' && count >= 10 ? act : undefined;
          },
        },
        async ({ relay, send }) => {
          const deliveries = await Promise.all(Array.from({ length: 100 }, () => send()));
          assert.ok(deliveries.every(({ results }) => results[0]?.outcome === 'sent'));
          assert.equal(relay.received.length, 100);
        },
        { connections: 3 },
      );
    });
  }

  it('make do with the connections that the relay gives', () =>
    withRelay(
      {
        extensions,
        on: (stage, _transaction, _line, { connection }) =>
          stage === 'greeting' && connection > 2 ? '421 4.7.0 too many connections' : undefined,
      },
      async ({ relay, send }) => {
        const deliveries = await Promise.all(Array.from({ length: 300 }, () => send()));
        assert.ok(deliveries.every(({ results, reached }) => reached && results[0]?.outcome === 'sent'));
        assert.equal(relay.received.length, 300);
        assert.ok(relay.connections() <= 20);
      },
    ));

  it('are overtaken by urgent ones, which have connections of their own as well', () => {
    const { open, opened } = gate();
    return withRelay(
      {
        extensions,
        on: (stage, { rcptTo }) => (stage === 'body' && rcptTo[0] === 'b@example.com' ? opened : undefined),
      },
      async ({ relay, send }) => {
        const slow = Array.from({ length: 40 }, () => send());
        await waitFor(() => relay.connections() === 2, { what: 'both connections' });
        await waitFor(() => relay.reached('body'), { what: 'the first message' });
        for (let i = 0; i < 5; i++) {
          assert.deepEqual(outcomes(await send({ recipients: ['code@example.com'], isUrgent: true })), ['sent 250']);
        }
        assert.ok(relay.received.every(({ rcptTo }) => rcptTo[0] === 'code@example.com'));
        open();
        await Promise.all(slow);
        assert.equal(relay.received.length, 45);
      },
      { connections: 2, reserved: 1, patience: { stall: 30_000 } },
    );
  });

  it('of the same kind leave in their order, urgent ones first', () => {
    const { open, opened } = gate();
    return withRelay(
      { extensions, on: (stage) => (stage === 'greeting' ? opened.then(() => '220 hello') : undefined) },
      async ({ relay, send }) => {
        const sends = ['1', '2', '3'].map((name) => send({ recipients: [name] }));
        sends.push(send({ recipients: ['urgent 1'.replace(' ', '-')], isUrgent: true }));
        sends.push(send({ recipients: ['urgent-2'], isUrgent: true }));
        open();
        await Promise.all(sends);
        assert.deepEqual(
          relay.received.map(({ rcptTo }) => rcptTo[0]),
          ['urgent-1', 'urgent-2', '1', '2', '3'],
        );
      },
      { connections: 1, reserved: 0 },
    );
  });

  it('are not held up by connections that stall', () =>
    withRelay(
      {
        extensions,
        on: (stage, { mailFrom }, line) =>
          stage === 'MAIL' && line.includes('hang@') && !mailFrom ? 'hang' : undefined,
      },
      async ({ relay, send, transport }) => {
        const hung = Array.from({ length: 3 }, () => send({ from: 'hang@example.com' }));
        await waitFor(() => relay.commands.filter((line) => line.includes('hang@')).length === 2, { what: 'stall' });
        assert.deepEqual(outcomes(await send({ isUrgent: true })), ['sent 250']);
        const others = await Promise.all(Array.from({ length: 20 }, () => send()));
        assert.ok(others.every(({ results }) => results[0]?.outcome === 'sent'));
        transport.abandon();
        for (const delivery of await Promise.all(hung)) assert.deepEqual(outcomes(delivery), ['deferred']);
      },
      { connections: 2, reserved: 1, patience: { stall: 50, tick: 10 } },
    ));

  it('are told so when the transport is abandoned, and nothing is sent afterwards', () =>
    withRelay(
      { extensions, on: (stage) => (stage === 'body' ? 'hang' : undefined) },
      async ({ relay, send, transport }) => {
        const sends = Array.from({ length: 10 }, () => send());
        await waitFor(() => relay.reached('body'), { what: 'the first message' });
        transport.abandon();
        const [first, ...others] = await Promise.all(sends);
        assert.ok(first);
        assert.deepEqual(outcomes(first), ['uncertain']);
        assert.ok(others.every(({ results }) => results[0]?.outcome === 'deferred'));
        assert.deepEqual(outcomes(await send()), ['deferred']);
      },
      { connections: 1 },
    ));
});

describe('kept connections', () => {
  it('are left when nobody has used them for a while', () =>
    withRelay(
      { extensions },
      async ({ relay, send }) => {
        await send();
        await waitFor(() => relay.commands.includes('QUIT'), { what: 'QUIT' });
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.connections(), 2);
      },
      { patience: { idle: 50, tick: 10 } },
    ));

  it('that the relay has closed are no harm to letters, however many they are', () => {
    let arrived = 0;
    let all = gate();
    let dead = 0;
    return withRelay(
      {
        extensions,
        // Every letter on a connection of its own.
        on: (stage, _transaction, _line, { connection }) => {
          if (stage === 'MAIL' && connection <= dead) return 'cut';
          if (stage !== 'body') return undefined;
          if (++arrived % 10 === 0) all.open();
          return all.opened;
        },
      },
      async ({ relay, send }) => {
        for (let round = 1; round <= 3; round++) {
          all = gate();
          const deliveries = await Promise.all(Array.from({ length: 10 }, () => send()));
          assert.ok(deliveries.every(({ results }) => results[0]?.outcome === 'sent'));
          assert.equal(relay.connections(), 10 * round);
          if (round < 3) relay.cut();
        }
        // Something in between has forgotten the connections, and says so only when they are used.
        dead = 30;
        all.open();
        arrived = 0;
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.received.length, 31);
      },
      { connections: 10, patience: { stall: 30_000 } },
    );
  });

  it('that have ended leave letters unsent that are another one’s meanwhile (F9)', () => {
    let isOurs = true;
    return withRelay({ extensions }, async ({ relay, send }) => {
      assert.deepEqual(outcomes(await send({ isStillOurs: () => isOurs })), ['sent 250']);
      const [before] = [relay.commands.length];
      relay.cut();
      isOurs = false;
      await assert.rejects(send({ isStillOurs: () => isOurs }), NoLongerOurs);
      assert.ok(!relay.commands.slice(before).some((line) => line.startsWith('MAIL')));
      isOurs = true;
      assert.deepEqual(outcomes(await send({ isStillOurs: () => isOurs })), ['sent 250']);
    });
  });

  it('are left when the transport closes', () =>
    withRelay({ extensions }, async ({ relay, send, transport }) => {
      await send();
      await transport.close();
      await waitFor(() => relay.commands.includes('QUIT'), { what: 'QUIT' });
    }));
});

describe('several relays', () => {
  it('are used in order: the next where one is away, the first again once it is back', async () => {
    let isAway = true;
    const first = await startScriptedSmtp({
      extensions,
      on: (at) => (at === 'greeting' && isAway ? 'cut' : undefined),
    });
    const second = await startScriptedSmtp({ extensions });
    const transport = new SmtpTransport({ urls: [first.url, second.url], patience: { rest: 20 } });
    try {
      const deliveries = await Promise.all(Array.from({ length: 50 }, () => transport.send(aMessage())));
      assert.ok(deliveries.every(({ results }) => results[0]?.outcome === 'sent'));
      assert.equal(second.received.length, 50);
      isAway = false;
      await waitFor(
        async () => {
          await transport.send(aMessage());
          return first.received.length > 0;
        },
        { what: 'the first relay to be used again' },
      );
    } finally {
      await transport.close();
      await first.close();
      await second.close();
    }
  });

  it('never get the login of another (S50)', async () => {
    const refusing = await startScriptedSmtp({
      extensions: ['AUTH PLAIN'],
      on: (stage) => (stage === 'AUTH' ? '535 5.7.8 wrong password' : undefined),
    });
    const other = await startScriptedSmtp({ extensions: ['AUTH PLAIN'] });
    const urls = [refusing.url.replace('://', '://user:secret@'), other.url];
    const transport = new SmtpTransport({ urls });
    try {
      assert.deepEqual(outcomes(await transport.send(aMessage())), ['sent 250']);
      assert.ok(!other.commands.some((line) => line.startsWith('AUTH')));
    } finally {
      await transport.close();
      await refusing.close();
      await other.close();
    }
  });

  it('are waited for no longer than it takes, and the letters say what was wrong', async () => {
    const silent = await startScriptedSmtp({ on: (stage) => (stage === 'greeting' ? 'hang' : undefined) });
    const refusing = await startScriptedSmtp({ on: (stage) => (stage === 'greeting' ? '554 5.3.2 no' : undefined) });
    const transport = new SmtpTransport({ urls: [silent.url, refusing.url], patience: { impatient: 50 } });
    try {
      const { reached, results } = await transport.send(aMessage());
      assert.equal(reached, false);
      assert.equal(results[0]?.reply.text, '554 5.3.2 no');
      assert.equal(await transport.reach(), false);
    } finally {
      await transport.close();
      await silent.close();
      await refusing.close();
    }
  });
});

describe('a large letter', () => {
  const size = 25 * 1024 * 1024;

  it('goes in pieces, no faster than the relay takes them', () => {
    const { open, opened } = gate();
    let made = 0;
    const content = async function* () {
      const piece = Buffer.from(`${'x'.repeat(62)}\r\n`.repeat(1_024));
      for (; made < size; made += piece.length) yield piece;
    };
    return withRelay(
      { extensions, on: (stage) => (stage === 'data' ? opened : undefined) },
      async ({ relay, send }) => {
        relay.pause(true);
        const sending = send({ content, size });
        await waitFor(() => made > 0, { what: 'the first piece' });
        // As much as the kernel takes, and a piece.
        for (let before = -1; before !== made; ) {
          before = made;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        assert.ok(made < size / 2, `${made} of ${size} octets were made`);
        open();
        relay.pause(false);
        assert.deepEqual(outcomes(await sending), ['sent 250']);
        assert.equal(relay.received[0]?.data.length, size);
      },
    );
  });

  it('that is cut in the middle is deferred, and what comes after it is sent (F12)', () => {
    let isCut = false;
    return withRelay(
      {
        extensions,
        on: (stage) => {
          if (stage !== 'data' || isCut) return undefined;
          isCut = true;
          return 'cut';
        },
      },
      async ({ relay, send }) => {
        const content = Buffer.alloc(size, 'x\r\n');
        const [large, small] = await Promise.all([send({ content, size }), send()]);
        assert.deepEqual(outcomes(large), ['deferred']);
        assert.deepEqual(outcomes(small), ['sent 250']);
        assert.equal(relay.received.length, 1);
      },
      { connections: 1 },
    );
  });

  it('that is refused in the middle is refused, and the next one is not taken for its rest', () => {
    let isSaid = false;
    return withRelay(
      {
        extensions,
        on: (stage, _transaction, _line, { say }) => {
          if (stage === 'data' && !isSaid) say('552 5.3.4 too large\r\n');
          if (stage === 'data') isSaid = true;
          return undefined;
        },
      },
      async ({ relay, send }) => {
        const content = Buffer.alloc(size, 'x\r\n');
        assert.deepEqual(outcomes(await send({ content, size })), ['failed 552']);
        assert.deepEqual(outcomes(await send()), ['sent 250']);
        assert.equal(relay.received.length, 1);
      },
    );
  });

  it('that is taken in the middle is not taken', () =>
    withRelay(
      {
        extensions,
        on: (stage, _transaction, _line, { say }) => {
          if (stage === 'data') say('250 2.0.0 kept\r\n');
          return undefined;
        },
      },
      async ({ send }) => {
        const content = Buffer.alloc(size, 'x\r\n');
        assert.deepEqual(outcomes(await send({ content, size })), ['deferred']);
      },
    ));

  it('that cannot be read ends without its dot, and the fault is ours', () =>
    withRelay({ extensions }, async ({ relay, send }) => {
      const content = async function* () {
        yield Buffer.from('Subject: x\r\n');
        throw new Error('the database has gone');
      };
      await assert.rejects(send({ content }), /the database has gone/);
      assert.deepEqual(outcomes(await send()), ['sent 250']);
      assert.equal(relay.received.length, 1);
    }));

  it('that the relay does not take at all is given up', () =>
    withRelay(
      { extensions },
      async ({ relay, send }) => {
        relay.pause(true);
        const content = Buffer.alloc(size, 'x\r\n');
        assert.deepEqual(outcomes(await send({ content, size })), ['deferred']);
      },
      { patience: { block: 100, tick: 10 } },
    ));
});
