import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Delivery, Outcome, Reply } from '../transport/transport.ts';
import { Destinations, destinationOf, faultsBeforeRest } from './destinations.ts';

const delivery = (outcome: Outcome, reply: Partial<Reply> = {}): Delivery => ({
  reached: true,
  results: [{ address: 'a@example.com', outcome, reply: { code: null, enhanced: null, text: '', ...reply } }],
});
const deferral = delivery('deferred', { code: 451, enhanced: '4.3.0', text: 'try later' });
const sent = delivery('sent', { code: 250 });
const seconds = 1_000;

describe('a destination', () => {
  const start = () => {
    const all = new Destinations(() => 0);
    const admit = (now: number, isOtp = false) => all.admit('example.com', { isOtp, now });
    const go = (now: number, result: Delivery | undefined) => {
      all.begin('example.com', now);
      all.end('example.com', result, now);
    };
    const fail = (times: number, now: number, result = deferral) => {
      for (let i = 0; i < times; i++) go(now, result);
    };
    return { all, admit, go, fail };
  };

  it('is left to rest after ten deferrals in a row, and what it said is told', () => {
    const { admit, fail } = start();
    fail(faultsBeforeRest - 1, 0);
    assert.equal(admit(0), 'go');
    fail(1, 0);
    assert.deepEqual(admit(0), {
      wait: 30 * seconds,
      reason: 'example.com defers what is sent there: 451 4.3.0 try later',
    });
  });

  it('starts from nothing after any answer', () => {
    for (const answer of [sent, delivery('bounced', { code: 550 }), delivery('failed', { code: 554 })]) {
      const { admit, go, fail } = start();
      fail(faultsBeforeRest - 1, 0);
      go(0, answer);
      fail(faultsBeforeRest - 1, 0);
      assert.equal(admit(0), 'go');
    }
  });

  it('is asked by one letter when it has rested, and rests twice as long where that is deferred', () => {
    const { all, admit, fail } = start();
    fail(faultsBeforeRest, 0);
    assert.equal(admit(30 * seconds), 'go');
    all.begin('example.com', 30 * seconds);
    assert.notEqual(admit(30 * seconds), 'go');
    all.end('example.com', deferral, 30 * seconds);
    assert.deepEqual(admit(31 * seconds), {
      wait: 59 * seconds,
      reason: 'example.com defers what is sent there: 451 4.3.0 try later',
    });
    for (let i = 1, now = 0; i < 20; i++) {
      now += 3_600 * seconds;
      fail(1, now);
      const admission = admit(now);
      assert.ok(admission !== 'go' && admission.wait <= 1_800 * seconds);
    }
  });

  it('takes all at once when the one was answered', () => {
    const { admit, go, fail } = start();
    fail(faultsBeforeRest, 0);
    go(30 * seconds, sent);
    assert.equal(admit(30 * seconds), 'go');
  });

  it('lets a code try every five seconds while it rests', () => {
    const { admit, fail, go } = start();
    fail(faultsBeforeRest, 0);
    assert.notEqual(admit(1 * seconds, true), 'go');
    assert.equal(admit(5 * seconds, true), 'go');
    go(5 * seconds, deferral);
    assert.notEqual(admit(6 * seconds, true), 'go');
    assert.notEqual(admit(29 * seconds), 'go');
  });

  it('is not blamed for a relay that is away, for greylisting, a full mailbox, or a session that ended', () => {
    const others = [
      { ...deferral, reached: false },
      delivery('deferred', { code: 451, enhanced: '4.7.1', text: 'Greylisted' }),
      delivery('deferred', { code: 452, enhanced: '4.2.2', text: 'mailbox full' }),
      delivery('deferred', { code: 421, enhanced: '4.3.2', text: 'shutting down' }),
      undefined,
    ];
    for (const other of others) {
      const { admit, go } = start();
      for (let i = 0; i < 3 * faultsBeforeRest; i++) go(0, other);
      assert.equal(admit(0), 'go');
    }
  });

  it('is blamed for silence, and for saying that we come too often', () => {
    for (const result of [
      delivery('deferred', { text: 'timeout', enhanced: '4.4.2' }),
      delivery('uncertain', { text: 'timeout', enhanced: '4.4.2' }),
      delivery('deferred', { code: 450, enhanced: '4.7.28', text: 'rate limit' }),
    ]) {
      const { admit, fail } = start();
      fail(faultsBeforeRest, 0, result);
      assert.notEqual(admit(0), 'go');
    }
  });

  it('is the domain of all recipients', () => {
    assert.equal(destinationOf(['a@x.example', '"b@c"@X.example']), 'x.example');
    assert.equal(destinationOf(['a@x.example', 'b@y.example']), undefined);
    assert.equal(destinationOf([]), undefined);
  });
});
