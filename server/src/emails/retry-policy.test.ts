import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nextAttemptAt } from './retry-policy.ts';

const endedAt = new Date('2030-01-01T00:00:00Z');
const wait = (attempts: number, options: { isOtp?: boolean; expiresAt?: Date; random?: number } = {}) => {
  const next = nextAttemptAt({ isOtp: false, expiresAt: null, random: 0, attempts, endedAt, ...options });
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
});
