import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kindOf, type ReplyKind } from './reply-kind.ts';
import { nextAttemptAt } from './retry-policy.ts';

const endedAt = new Date('2030-01-01T00:00:00Z');
const wait = (
  attempts: number,
  options: { isOtp?: boolean; kind?: ReplyKind; expiresAt?: Date; random?: number } = {},
) => {
  const next = nextAttemptAt({
    isOtp: false,
    kind: 'trouble',
    expiresAt: null,
    random: 0,
    attempts,
    endedAt,
    ...options,
  });
  return next && (next.getTime() - endedAt.getTime()) / 1_000;
};

describe('the next attempt', () => {
  it('comes after 1, 5, 15 minutes, 1, 2, 4, 8, 16 hours, and then no more', () => {
    const minutes = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((attempts) => (wait(attempts) ?? Number.NaN) / 60);
    assert.deepEqual(minutes, [1, 5, 15, 60, 120, 240, 480, 960, Number.NaN]);
  });

  it('of a code comes after 2, 5, 10 and then every 20 seconds', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 100].map((attempts) => wait(attempts, { isOtp: true })),
      [2, 5, 10, 20, 20, 20],
    );
    assert.equal(wait(5_000, { isOtp: true }), undefined);
  });

  it('is spread by up to a tenth', () => {
    assert.equal(wait(1, { random: 0.5 }), 63);
  });

  it('is not put off beyond the end of the letter', () => {
    assert.equal(wait(2, { expiresAt: new Date('2030-01-01T00:00:07Z') }), 7);
  });

  it('comes sooner or later by what the reply said', () => {
    const minutes = (kind: ReplyKind) => [1, 2, 3, 4].map((attempts) => (wait(attempts, { kind }) ?? Number.NaN) / 60);
    assert.deepEqual(minutes('connection'), [1, 5, 15, 60]);
    assert.deepEqual(minutes('greylisted'), [1, 5, 5, 20]);
    assert.deepEqual(minutes('rate-limited'), [5, 15, 30, 60]);
    assert.deepEqual(minutes('mailbox-full'), [15, 60, 120, 240]);
    assert.equal(wait(1, { kind: 'too-many-recipients' }), 5);
  });
});

describe('a reply', () => {
  const kinds: [ReplyKind, number | null, string | null, string][] = [
    ['connection', null, '4.4.1', 'connect ECONNREFUSED'],
    ['connection', 421, '4.3.2', 'Service shutting down'],
    ['greylisted', 451, '4.7.1', 'Please try again later'],
    ['greylisted', 450, '4.2.0', 'Recipient address rejected: Greylisted, see postgrey.example'],
    ['rate-limited', 450, '4.7.28', 'Our system has detected an unusual rate'],
    ['rate-limited', 451, '4.7.1', 'Rate limit exceeded'],
    ['rate-limited', 450, '4.2.1', 'The user is receiving mail too quickly'],
    ['mailbox-full', 452, '4.2.2', 'The email account that you tried to reach is over quota'],
    ['mailbox-full', 452, null, 'Mailbox full'],
    ['too-many-recipients', 452, '4.5.3', 'Too many recipients'],
    ['too-many-recipients', 552, null, 'Too many recipients'],
    ['trouble', 452, '4.3.1', 'Insufficient system storage'],
    ['trouble', 451, null, 'Requested action aborted'],
  ];
  for (const [kind, code, enhanced, text] of kinds) {
    it(`${code} ${enhanced} ${text} means ${kind}`, () => assert.equal(kindOf({ code, enhanced, text }), kind));
  }
});
