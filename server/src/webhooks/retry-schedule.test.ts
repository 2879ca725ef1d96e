import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nextTryIn, readRetryAfter, standardSchedule } from './retry-schedule.ts';

describe('the schedule of webhooks', () => {
  it('goes on for three days, a little later each time than it says, and then ends', () => {
    const at = (attempts: number, random: number) => nextTryIn(attempts, { retryAfterSeconds: null, random });
    assert.deepEqual(
      standardSchedule.map((_, index) => at(index + 1, 0)),
      standardSchedule,
    );
    assert.equal(at(1, 1), 5.5);
    assert.equal(at(standardSchedule.length + 1, 0), null);
    assert.ok(standardSchedule.reduce((sum, seconds) => sum + seconds) > 3 * 86_400);
  });

  it('waits as long as it is asked to, up to a day, but tries no more often for it', () => {
    assert.equal(nextTryIn(1, { retryAfterSeconds: 60, random: 0 }), 60);
    assert.equal(nextTryIn(2, { retryAfterSeconds: 60, random: 0 }), 300);
    assert.equal(nextTryIn(99, { retryAfterSeconds: 60, random: 0 }), null);
    const now = Date.parse('2026-01-01T00:00:00Z');
    assert.equal(readRetryAfter('120', now), 120);
    assert.equal(readRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now), 60);
    assert.equal(readRetryAfter('Thu, 01 Jan 2015 00:01:00 GMT', now), 0);
    assert.equal(readRetryAfter('999999999999', now), 86_400);
    for (const odd of [undefined, '', 'soon', '-5x']) assert.equal(readRetryAfter(odd, now), null, odd);
  });
});
